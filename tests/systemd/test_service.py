"""The installed service under a real systemd."""

import re
import time

import pytest

from tests.systemd.container import Container

pytestmark = pytest.mark.systemd

CONFIG = "/etc/inferwatch/config.yaml"
DROP_INS = "/run/systemd/system/inferwatch.service.d"
PAGE = "curl -sf localhost:9745/metrics"
RELOADED = f"{PAGE} | grep -x 'inferwatch_config_last_reload_successful"


def show(service: Container, name: str) -> str:
    """Return a property of the unit."""
    return service.out(f"systemctl show --property={name} --value inferwatch")


def test_it_is_active_and_says_how_it_fares(service: Container):
    """`systemctl status` shows an active service and the agent's own line about itself."""
    assert show(service, "ActiveState") == "active"
    status = service.out("systemctl status --no-pager inferwatch")
    assert re.search(r'Status: "[1-9][0-9]* series', status)


def test_it_starts_at_boot(service: Container):
    """Installing enables the service."""
    assert service.out("systemctl is-enabled inferwatch") == "enabled"


def test_the_page_is_served(service: Container):
    """`/metrics` answers, and the sources of every Linux host work inside the sandbox."""
    page = service.out(PAGE)

    assert 'inferwatch_source_up{source="host"} 1' in page
    assert 'inferwatch_source_up{source="kernel_log"} 1' in page
    assert "inferwatch_host_memory" in page


def test_the_journal_has_its_log(service: Container):
    """What the agent logs is in the journal under its unit, written by its own process."""
    pid = show(service, "MainPID")

    assert service.until(f"journalctl --quiet -u inferwatch _PID={pid} | grep .", seconds=5)


def test_a_good_reload_is_taken_over(service: Container):
    """`systemctl reload` succeeds, keeps the process and takes the new configuration over."""
    pid = show(service, "MainPID")
    service.out(f"printf 'exporters: {{http_api: {{listen: [\":9746\"]}}}}\\n' > {CONFIG}")

    service.out("systemctl reload inferwatch")

    page = service.until("curl -sf localhost:9746/metrics", seconds=10)
    assert "inferwatch_config_last_reload_successful 1" in page
    assert show(service, "MainPID") == pid


def test_a_bad_reload_is_refused_and_said(service: Container):
    """A file with a mistake fails `systemctl reload`; the agent runs on and reports it."""
    pid = show(service, "MainPID")
    service.out(f"echo 'tick: {{intervall: 1s}}' > {CONFIG}")

    reload = service.sh("systemctl reload inferwatch")

    assert reload.returncode != 0
    service.until(f"{RELOADED} 0'", seconds=10)
    assert show(service, "ActiveState") == "active"
    assert show(service, "MainPID") == pid
    assert "intervall" in service.out("journalctl --quiet -u inferwatch --since=-1min")


def test_a_bad_configuration_does_not_start(service: Container):
    """The unit refuses a file with a mistake before the agent runs, and the journal says which."""
    service.out(f"systemctl stop inferwatch; echo 'tick: {{intervall: 1s}}' > {CONFIG}")

    assert service.sh("systemctl start inferwatch").returncode != 0

    assert show(service, "MainPID") == "0"
    assert "intervall" in service.out("journalctl --quiet -u inferwatch --since=-1min")


@pytest.fixture
def quick(service: Container) -> Container:
    """The shared host with a watchdog that waits for 2 s."""
    service.out(
        f"mkdir -p {DROP_INS}"
        f" && printf '[Service]\\nWatchdogSec=2\\nRestartSec=100ms\\n' > {DROP_INS}/quick.conf"
        " && systemctl daemon-reload && systemctl restart inferwatch"
    )
    return service


def test_the_watchdog_restarts_a_process_that_hangs(quick: Container):
    """A stopped process is killed and started again, and its stack is in the journal."""
    pid = show(quick, "MainPID")
    # Ticks of 1 s and the margin for four of them.
    quick.out(f"kill -STOP {pid}")

    quick.until(
        "systemctl is-active --quiet inferwatch"
        f' && test "$(systemctl show --property=MainPID --value inferwatch)" != {pid}',
        seconds=20,
    )

    assert show(quick, "NRestarts") == "1"
    quick.until(PAGE, seconds=10)
    assert "Fatal Python error: Aborted" in quick.out(f"journalctl --quiet _PID={pid}")


@pytest.mark.parametrize("interval", ["1s", "9s"])
def test_the_watchdog_lets_a_healthy_process_live(quick: Container, interval: str):
    """An agent whose ticks complete lives on, even when they are rarer than the watchdog's turn."""
    quick.out(f"echo 'tick: {{interval: {interval}}}' > {CONFIG} && systemctl restart inferwatch")
    pid = show(quick, "MainPID")

    quick.out("sleep 6")

    assert show(quick, "MainPID") == pid
    assert show(quick, "NRestarts") == "0"


def test_it_stops_at_once(service: Container):
    """`systemctl stop` returns within 5 s, in order and with no process left."""
    group = "/sys/fs/cgroup/*/system.slice/inferwatch.service/cgroup.procs"
    start = time.monotonic()

    service.out("systemctl stop inferwatch")

    assert time.monotonic() - start < 5
    assert show(service, "Result") == "success"
    assert show(service, "ExecMainStatus") == "0"
    assert service.sh(f"cat {group} 2>/dev/null").stdout == ""


def test_a_file_in_the_working_folder_hijacks_nothing(service: Container):
    """Modules named like the agent's in the working folder of the service are not imported."""
    for name in ("agent", "collectors", "exporters", "aiohttp"):
        service.out(f"echo 'raise SystemExit(9)' > /{name}.py")

    service.out("systemctl restart inferwatch")

    service.out(PAGE)
    service.out("rm /agent.py /collectors.py /exporters.py /aiohttp.py")
