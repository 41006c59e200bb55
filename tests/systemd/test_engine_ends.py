"""Engines that end under a real systemd are explained by its journal, through the sandbox."""

import json
from collections.abc import Iterator

import pytest

from tests.systemd.container import Container

pytestmark = pytest.mark.systemd

PAGE = "curl -sf localhost:9745/metrics"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
SERVE = "vllm serve Qwen/Qwen3-8B --port 8000"


@pytest.fixture(scope="module")
def serving(host: Container) -> Iterator[Container]:
    """A host with the program of an engine, and with one identifier of its boot.

    `journalctl --follow` shows the current boot only. systemd-nspawn gives a container an
    identifier of its boot by a mount over a file of /proc. ProtectKernelTunables and
    ProtectControlGroups, each alone, make systemd mount a new /proc for the unit; there the file
    has the identifier of the kernel, which the journal of the container does not know. On a host
    both are the kernel's, so the mount is taken away here and the unit stays as it is shipped.
    """
    host.out(
        f"while umount {BOOT_ID}; do :; done; systemctl restart systemd-journald"
        " && (echo '#!/usr/bin/python3'; cat /src/tests/systemd/fake_vllm.py) > /usr/local/bin/vllm"
        " && chmod 755 /usr/local/bin/vllm && systemctl restart inferwatch"
    )
    yield host
    host.sh("systemctl stop 'chat-*'; rm /usr/local/bin/vllm")


def test_the_unit_sees_the_boot_that_the_journal_writes(serving: Container):
    """In the sandbox as shipped the identifier of the boot is that of the journal's entries."""
    unit = serving.out("systemctl show --property=MainPID --value inferwatch")
    seen = serving.out(f"nsenter --target={unit} --mount cat {BOOT_ID}").replace("-", "")
    written = serving.out("journalctl -u inferwatch --output=json --lines=1")
    assert json.loads(written)["_BOOT_ID"] == seen


@pytest.mark.parametrize(
    ("end", "cause", "says"),
    [
        ("systemctl kill --signal=SEGV", "crashed", "SIGSEGV"),
        ("systemctl kill --signal=KILL", "killed", "SIGKILL"),
        ("systemctl stop", "stopped", "systemd was told to stop"),
    ],
)
def test_how_a_unit_ended(serving: Container, end: str, cause: str, says: str):
    """A signal and a stop are told apart by what systemd writes of the unit, and recorded."""
    unit = f"chat-{cause}"
    serving.out(f"systemd-run --quiet --unit={unit} --uid=nobody {SERVE}")
    serving.until(f"{PAGE} | grep -x 'inferwatch_engine_up{{.*}} 1'", seconds=30)
    serving.until(f"pgrep -f '[_]SYSTEMD_UNIT={unit}.service'", seconds=15)

    serving.out(f"{end} {unit}")

    series = f'inferwatch_engine_deaths_total{{.*cause="{cause}"}} 1'
    serving.until(f"{PAGE} | grep -x '{series}'", seconds=30)
    said = serving.out("journalctl -u inferwatch -o cat | grep 'died: ' | tail -1")
    assert says in said
    # An end on purpose is no incident; any other is one, or a part of the one before.
    recorded = serving.sh("journalctl -u inferwatch -o cat | grep 'an incident is recorded'").stdout
    assert bool(recorded) or cause == "stopped"
    assert "systemd was told to stop" not in recorded
