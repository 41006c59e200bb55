"""What the unit's sandbox lets through and what it keeps out."""

import json
from collections.abc import Iterator

import pytest

from tests.systemd.container import Container

pytestmark = pytest.mark.systemd

UNIT = "/usr/local/lib/systemd/system/inferwatch.service"
DENIED = "Operation not permitted"
READ_ONLY = "Read-only file system"


@pytest.fixture(scope="module")
def stranger(host: Container) -> Iterator[str]:
    """The pid of another user's process, on a host with a GPU's node and an open folder."""
    host.out("mkdir --mode=777 /srv/open")
    # Major 195 has no driver here: whoever may open the node is told that there is no device.
    host.out("mknod --mode=666 /dev/nvidiactl c 195 255 && mknod --mode=666 /dev/kmsg c 1 11")
    host.out("systemd-run --quiet --unit=engine --uid=nobody sleep 3600")
    yield host.out("systemctl show --property=MainPID --value engine")
    host.out("systemctl stop engine; rm -r /dev/nvidiactl /dev/kmsg /srv/open")


def probe(host: Container, stranger: str, *rights: str) -> dict[str, object]:
    """Run the probe in place of the agent and return what it printed.

    Args:
        host: where the service is installed.
        stranger: pid of another user's process.
        rights: patterns of lines of the drop-in to take; those after `#` are uncommented.
    """
    folder = "/run/systemd/system/probe.service.d"
    host.out(
        "cp /src/tests/systemd/probe.py /run/probe.py"
        f" && sed -e '/^Exec/d' -e 's/^Type=.*/Type=oneshot/' -e '/^Watchdog/d' -e '/^Restart/d'"
        f" {UNIT} > /run/systemd/system/probe.service"
        f" && mkdir -p {folder} && rm -f {folder}/*"
        " && printf '[Service]\\nExecStart=/opt/inferwatch/venv/bin/python -I /run/probe.py"
        f" {stranger}\\nStandardOutput=truncate:/run/probe.json\\n' > {folder}/probe.conf"
    )
    for right in rights:
        host.out(
            f"grep -e '^\\[' -e '^#*{right}' {UNIT}.d/more-rights.conf.example | sed 's/^#//'"
            f" > {folder}/{right.partition('=')[0]}.conf"
        )
    host.out("systemctl daemon-reload && systemctl start probe || journalctl -u probe --no-pager")
    answers: dict[str, object] = json.loads(host.out("cat /run/probe.json"))
    return answers


def test_what_the_agent_needs_gets_through(host: Container, stranger: str):
    """GPUs, other users' command lines, the journal, ctypes and the state folder are reachable."""
    answers = probe(host, stranger)

    assert answers["device"] == "No such device or address"
    assert answers["command line"] == "/usr/bin/sleep 3600"
    assert answers["journal"] == "ok"
    assert answers["callback"] == "ok"
    assert answers["write state"] == "ok"
    assert answers["step back"] == "ok"


def test_what_it_does_not_need_is_kept_out(host: Container, stranger: str):
    """Root, system files, raw sockets, generated code and other processes are out of reach."""
    answers = probe(host, stranger)

    assert answers["uid is root"] is False
    assert answers["write anywhere"] == READ_ONLY
    assert answers["write and execute"] == DENIED
    assert answers["raw socket"] == "Address family not supported by protocol"
    assert answers["kmsg"] != "ok"
    assert answers["file descriptors"] == "Permission denied"
    assert answers["adjtimex"] == DENIED
    assert answers["go first"] == "Permission denied"


def test_the_drop_in_lets_the_clock_be_read(host: Container, stranger: str):
    """As it is, more-rights.conf lets the agent ask for the state of the clock, and no more."""
    answers = probe(host, stranger, "SystemCallFilter=")

    assert answers["adjtimex"] == "ok"
    assert answers["file descriptors"] == "Permission denied"
    assert answers["write anywhere"] == READ_ONLY


def test_the_drop_in_opens_other_processes(host: Container, stranger: str):
    """With both of its capabilities other users' file descriptors can be listed."""
    capabilities = "CapabilityBoundingSet=CAP_SYS_PTRACE", "AmbientCapabilities=CAP_SYS_PTRACE"

    answers = probe(host, stranger, *capabilities)

    assert answers["file descriptors"] == "ok"
    assert answers["write anywhere"] == READ_ONLY
