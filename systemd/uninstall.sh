#!/bin/sh
# Take the service away. The configuration, the history and the user that owns it stay, unless
# PURGE=1.
#
#   PREFIX   where it was installed (/opt/inferwatch)
#   PURGE    1: also /etc/inferwatch, /var/lib/inferwatch, drop-ins and the user inferwatch
set -eu

PREFIX=${PREFIX:-/opt/inferwatch}
PURGE=${PURGE:-0}
UNIT=/usr/local/lib/systemd/system/inferwatch.service
REPORT=/usr/local/lib/systemd/system/inferwatch-report
COMMAND=/usr/local/bin/inferwatch

say() { printf 'inferwatch: %s\n' "$*"; }
die() { printf 'inferwatch: %s\n' "$*" >&2; exit 1; }

case $PREFIX in
    /*) ;;
    *) die "PREFIX must be an absolute path, not '$PREFIX'" ;;
esac
PREFIX=${PREFIX%/}
[ -z "${DESTDIR:-}" ] || die "nothing runs from a staging root: remove $DESTDIR itself"
[ "$(id -u)" -eq 0 ] || die "uninstalling needs root: sudo make uninstall"
if [ -e "$UNIT" ] && ! grep -qF "ExecStart=$PREFIX/venv/bin/python " "$UNIT"; then
    die "the installed service does not run from $PREFIX; give its PREFIX"
fi

booted=no
[ ! -d /run/systemd/system ] || booted=yes
if [ -e "$UNIT" ] && command -v systemctl >/dev/null; then
    [ "$booted" = no ] || systemctl stop inferwatch.service
    systemctl --quiet disable inferwatch.service
fi
if [ -e "$REPORT.timer" ] && command -v systemctl >/dev/null; then
    [ "$booted" = no ] || systemctl stop inferwatch-report.timer inferwatch-report.service
    systemctl --quiet disable inferwatch-report.timer
fi
rm -f "$UNIT" "$REPORT.service" "$REPORT.timer"
for example in more-rights credentials; do
    rm -f "$UNIT.d/$example.conf.example"
done
# Only what the installer made: PREFIX may hold other things.
case $(readlink "$COMMAND" || true) in
    "$PREFIX/venv/bin/inferwatch") rm -f "$COMMAND" ;;
esac
rm -rf "$PREFIX/venv" "$PREFIX/venv.link" "$PREFIX"/venv-*
rm -f "$PREFIX/docs/install.md"
units=${UNIT%/*}
for folder in "$UNIT.d" "$units" "${units%/*}" "$PREFIX/docs" "$PREFIX"; do
    [ ! -d "$folder" ] || rmdir --ignore-fail-on-non-empty "$folder"
done
if [ "$PURGE" = 1 ]; then
    rm -rf /etc/inferwatch /var/lib/inferwatch /etc/systemd/system/inferwatch.service.d
    rm -f /var/lib/systemd/timers/stamp-inferwatch-report.timer
    if id inferwatch >/dev/null 2>&1; then
        userdel inferwatch
    fi
fi
if [ "$booted" = yes ]; then
    systemctl daemon-reload
    systemctl reset-failed inferwatch.service inferwatch-report.service 2>/dev/null || true
fi

if [ "$PURGE" = 1 ]; then
    say "removed, with its configuration, history and user"
else
    say "removed; /etc/inferwatch, /var/lib/inferwatch and the user stay (PURGE=1 takes them too)"
fi
