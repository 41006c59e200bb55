#!/bin/sh
# Install this checkout as a service, or bring a running installation up to it.
#
#   PREFIX   where the virtual environment goes (/opt/inferwatch)
#   DESTDIR  a staging root: files only, no user, no service
#   WHEELS   a folder of wheels: install from it alone, without an index
#   PYTHON   the interpreter to build with (the newest python3 on the PATH)
#   START    0: install, but neither enable nor start
#
# pip's own PIP_* variables are honoured.
set -eu
umask 022

PREFIX=${PREFIX:-/opt/inferwatch}
DESTDIR=${DESTDIR:-}
START=${START:-1}
UNITDIR=/usr/local/lib/systemd/system
CONFDIR=/etc/inferwatch
STATEDIR=/var/lib/inferwatch
COMMAND=/usr/local/bin/inferwatch
SOURCE=$(cd "$(dirname "$0")/.." && pwd)

say() { printf 'inferwatch: %s\n' "$*"; }
die() { printf 'inferwatch: %s\n' "$*" >&2; exit 1; }

case $PREFIX in
    /*) ;;
    *) die "PREFIX must be an absolute path, not '$PREFIX'" ;;
esac
case $PREFIX$DESTDIR in
    *[!A-Za-z0-9/._+-]*) die "PREFIX and DESTDIR may hold letters, digits and /._+- only" ;;
esac
PREFIX=${PREFIX%/}
DESTDIR=${DESTDIR%/}
if [ -n "${WHEELS:-}" ]; then
    [ -d "$WHEELS" ] || die "WHEELS names no folder: $WHEELS"
    WHEELS=$(cd "$WHEELS" && pwd)
fi
if [ -z "$DESTDIR" ]; then
    [ "$(id -u)" -eq 0 ] || die "installing needs root: sudo make install (or DESTDIR= to stage)"
    command -v systemctl >/dev/null || die "systemd is needed: systemctl was not found"
fi
unit=$DESTDIR$UNITDIR/inferwatch.service
if [ -e "$unit" ] && ! grep -qF "ExecStart=$PREFIX/venv/bin/python " "$unit"; then
    die "it is installed under another PREFIX: uninstall that first, or give the same PREFIX"
fi

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if command -v "$candidate" >/dev/null \
            && "$candidate" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer was not found (PYTHON= names one)"
}
python=$(find_python)
"$python" -I -c 'import ensurepip, venv' 2>/dev/null \
    || die "$python cannot make virtual environments: apt-get install python3-venv"

# The environment is built in a folder of its own and becomes the installation by one rename of the
# link `venv`, so a failure on the way leaves what runs now as it is.
release=$PREFIX/venv-$(date -u +%Y%m%dT%H%M%SZ)-$$
root=$DESTDIR$PREFIX
discard() {
    rm -f "$root/venv.link"
    [ "$(readlink "$root/venv")" = "${release##*/}" ] || rm -rf "$DESTDIR$release"
    [ ! -d "$root" ] || rmdir --ignore-fail-on-non-empty "$root"
}
trap discard EXIT
trap 'exit 130' INT TERM

say "building $DESTDIR$release with $python"
mkdir -p "$root"
"$python" -I -m venv "$DESTDIR$release"
set -- --quiet --disable-pip-version-check --no-warn-script-location
[ -z "${WHEELS:-}" ] || set -- "$@" --no-index --find-links "$WHEELS"
(cd / && "$DESTDIR$release/bin/python" -I -m pip install "$@" "$SOURCE") \
    || die "pip could not install the checkout; what was installed before is untouched"
if [ -n "$DESTDIR" ]; then
    find "$DESTDIR$release/bin" -type f -exec grep -IlF "$DESTDIR$release" {} + \
        | xargs -r sed -i "s|$DESTDIR$release|$release|g"
fi

if [ -z "$DESTDIR" ] && ! id inferwatch >/dev/null 2>&1; then
    useradd --system --user-group --no-create-home --home-dir "$STATEDIR" \
        --shell /usr/sbin/nologin inferwatch
    say "made the system user inferwatch"
fi
# As the user of the service, who must be able to read the file and reach the interpreter.
as_service() {
    if [ -n "$DESTDIR" ]; then
        (cd / && "$@")
    else
        (cd / && runuser -u inferwatch -- "$@")
    fi
}
as_service "$DESTDIR$release/bin/python" -I -c '' \
    || die "the user inferwatch cannot run $python; name another with PYTHON="
check_config() { as_service "$DESTDIR$release/bin/python" -I -m agent check-config "$1"; }

config=$DESTDIR$CONFDIR/config.yaml
if [ -e "$config" ]; then
    check_config "$config" \
        || die "this version refuses $config; what was installed before is untouched"
fi
mkdir -p "$DESTDIR$CONFDIR" "$DESTDIR$STATEDIR"
chmod 0750 "$DESTDIR$STATEDIR"
rm -f "$config.new"
if [ ! -e "$config" ]; then
    install -m 0640 "$SOURCE/config.example.yaml" "$config"
elif ! cmp -s "$SOURCE/config.example.yaml" "$config"; then
    install -m 0640 "$SOURCE/config.example.yaml" "$config.new"
fi
if [ -z "$DESTDIR" ]; then
    chown inferwatch:inferwatch "$STATEDIR"
    for file in "$config" "$config.new"; do
        [ ! -e "$file" ] || chgrp inferwatch "$file"
    done
fi

fresh=yes
if [ -e "$unit" ]; then
    fresh=no
    cp "$unit" "$DESTDIR$release/previous.service"
fi
mkdir -p "$unit.d" "$root/docs"
for name in inferwatch.service inferwatch-report.service inferwatch-report.timer; do
    sed "s|/opt/inferwatch/|$PREFIX/|g" "$SOURCE/systemd/$name" >"$DESTDIR$UNITDIR/$name"
done
for example in "$SOURCE"/systemd/inferwatch.service.d/*.example; do
    install -m 0644 "$example" "$unit.d/"
done
install -m 0644 "$SOURCE/docs/install.md" "$root/docs/"
if [ -L "$DESTDIR$COMMAND" ] || [ ! -e "$DESTDIR$COMMAND" ]; then
    mkdir -p "$DESTDIR${COMMAND%/*}"
    ln -sfn "$PREFIX/venv/bin/inferwatch" "$DESTDIR$COMMAND"
else
    say "left $COMMAND alone: it is not a link"
fi

previous=$(readlink "$root/venv" || true)
switch_to() {
    ln -sfn "$1" "$root/venv.link"
    mv -T "$root/venv.link" "$root/venv"
}
forget_old() {
    for old in "$root"/venv-*; do
        [ "$old" = "$DESTDIR$release" ] || rm -rf "$old"
    done
}

if [ -n "$DESTDIR" ]; then
    switch_to "${release##*/}"
    forget_old
    say "staged below $DESTDIR; the package makes the user inferwatch and starts the service"
    exit 0
fi
if [ ! -d /run/systemd/system ]; then
    switch_to "${release##*/}"
    forget_old
    say "installed; systemd is not running here, so nothing was started"
    exit 0
fi

systemctl daemon-reload
if [ "$START" != 0 ] && [ "$fresh" = yes ]; then
    systemctl --quiet enable inferwatch.service
fi
action=none
if [ "$START" != 0 ]; then
    if [ "$fresh" = yes ]; then
        action=start
    else
        case $(systemctl is-active inferwatch.service || true) in
            inactive) ;;
            *) action=start ;;
        esac
    fi
fi
# Stopped before the switch, so that no process ever imports from two versions.
[ "$action" = none ] || systemctl stop inferwatch.service
switch_to "${release##*/}"
if [ "$action" = none ]; then
    forget_old
    say "installed, not started: systemctl enable --now inferwatch"
    exit 0
fi
systemctl reset-failed inferwatch.service 2>/dev/null || true
if ! systemctl start inferwatch.service; then
    journalctl --unit inferwatch.service --lines 20 --no-pager >&2 || true
    [ -n "$previous" ] || die "installed, but it does not start (see above)"
    systemctl stop inferwatch.service
    cp "$release/previous.service" "$unit"
    systemctl daemon-reload
    switch_to "$previous"
    systemctl reset-failed inferwatch.service 2>/dev/null || true
    systemctl start inferwatch.service || true
    die "the new version does not start (see above); the one before is back"
fi
forget_old

say "running. Next:"
say "  http://$(uname -n):9745             the page for people"
say "  inferwatch doctor --as-service  what it looks for, finds and misses"
say "  systemctl status inferwatch     how it fares"
say "  curl -s localhost:9745/metrics  what Prometheus scrapes"
say "  $CONFDIR/config.yaml    then: systemctl reload inferwatch"
[ ! -e "$config.new" ] || say "the defaults of this version are in $config.new; yours was kept"
