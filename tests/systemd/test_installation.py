"""`make install` and `make uninstall` on a fresh host without a network."""

import pytest

from tests.systemd.conftest import INSTALL, UNINSTALL
from tests.systemd.container import Container

pytestmark = pytest.mark.systemd

CONFIG = "/etc/inferwatch/config.yaml"
# Where systemd, apt, pip and Python keep what is theirs.
FILES = (
    "find / -xdev ! -type d -newer /run/before -print"
    " | grep -Ev '^/(proc|sys|dev|run|tmp|src|wheels|var/log|var/tmp|root/.cache)/|__pycache__'"
    " | sort"
)
ACTIVE = "systemctl is-active --quiet inferwatch"


def main_pid(container: Container) -> str:
    """Return the pid of the running agent."""
    return container.out("systemctl show --property=MainPID --value inferwatch")


def test_purging_leaves_nothing(container: Container):
    """Installed and purged, no file, user, group or unit of inferwatch is left."""
    container.out("touch /run/before")
    container.out(INSTALL, timeout=120)

    container.out(f"{UNINSTALL} PURGE=1")

    left = set(container.sh(FILES).stdout.split())
    # useradd and userdel write these anew, without the user.
    accounts = {f"/etc/{name}{dash}" for name in ("passwd", "group", "shadow", "gshadow", "subuid",
        "subgid") for dash in ("", "-")}  # fmt: skip
    assert left <= accounts | {"/etc/.pwd.lock"}
    assert container.sh("grep inferwatch /etc/passwd /etc/group").stdout == ""
    assert container.sh("find / -xdev -name '*inferwatch*' ! -path '/proc/*'").stdout == ""
    assert container.sh("systemctl cat inferwatch").returncode != 0
    assert container.sh("ls -d /usr/local/lib/systemd").returncode != 0


def test_uninstalling_keeps_configuration_and_history(container: Container):
    """Without PURGE the configuration, the history and their owner stay; nothing runs."""
    container.out(INSTALL, timeout=120)
    container.out(f"echo '# mine' >> {CONFIG}; echo past > /var/lib/inferwatch/history")

    container.out(UNINSTALL)

    assert "# mine" in container.out(f"cat {CONFIG}")
    assert container.out("cat /var/lib/inferwatch/history") == "past"
    assert container.out("stat --format=%U /var/lib/inferwatch") == "inferwatch"
    assert container.sh("ls -d /opt/inferwatch").returncode != 0
    assert container.sh("pgrep -u inferwatch").returncode != 0


def test_another_prefix_is_used_throughout(container: Container):
    """With PREFIX the unit runs from there, and is not mixed with an installation elsewhere."""
    container.out(f"{INSTALL} PREFIX=/srv/watch", timeout=120)

    container.out(ACTIVE)
    assert container.out(f"readlink /proc/{main_pid(container)}/cwd") == "/"
    assert "/srv/watch/venv/" in container.out(
        f"tr '\\0' ' ' < /proc/{main_pid(container)}/cmdline"
    )
    for command in (INSTALL, UNINSTALL):
        refused = container.sh(command)
        assert refused.returncode != 0
        assert "PREFIX" in refused.stdout
    container.out(ACTIVE)
    container.out(f"{UNINSTALL} PREFIX=/srv/watch")
    assert container.sh("ls -d /srv/watch").returncode != 0


def test_staging_touches_only_the_staging_root(container: Container):
    """With DESTDIR there are files below it and nothing else: no user, no service."""
    container.out(f"{INSTALL} DESTDIR=/srv/stage", timeout=120)

    staged = "/srv/stage/opt/inferwatch/venv/bin/inferwatch"
    assert "/srv/stage" not in container.out(f"head -1 {staged}")
    container.out("/srv/stage/opt/inferwatch/venv/bin/python -I -m agent --help")
    container.out("ls /srv/stage/usr/local/lib/systemd/system/inferwatch.service")
    assert container.sh("id inferwatch").returncode != 0
    assert container.sh("ls -d /opt/inferwatch /etc/inferwatch").returncode != 0


def test_what_is_missing_is_said_in_one_line(container: Container):
    """Without root or without venv the script says so and does nothing."""
    nobody = container.sh(f"setpriv --reuid=65534 --clear-groups {INSTALL}")
    container.out("mv /usr/lib/python3.11/ensurepip /usr/lib/python3.11/elsewhere")
    no_venv = container.sh(INSTALL)

    for done, said in ((nobody, "needs root"), (no_venv, "apt-get install python3-venv")):
        assert done.returncode != 0
        assert [said in line for line in done.stdout.splitlines() if "make:" not in line] == [True]
    assert container.sh("ls -d /opt/inferwatch").returncode != 0
