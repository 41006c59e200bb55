"""Engines that end under a real systemd are explained by its journal, through the sandbox."""

from collections.abc import Iterator

import pytest

from tests.systemd.container import Container

pytestmark = pytest.mark.systemd

PAGE = "curl -sf localhost:9745/metrics"
DROP_IN = "/run/systemd/system/inferwatch.service.d"
SERVE = "vllm serve Qwen/Qwen3-8B --port 8000"


@pytest.fixture(scope="module")
def serving(host: Container) -> Iterator[Container]:
    """A host with the program of an engine.

    `journalctl --follow` shows the current boot only. systemd-nspawn gives a container an
    identifier of its boot by a mount inside /proc, which a unit with a /proc of its own does not
    have; so the two settings that make one are left out here, and here alone.
    """
    host.out(
        "(echo '#!/usr/bin/python3'; cat /src/tests/systemd/fake_vllm.py) > /usr/local/bin/vllm"
        f" && chmod 755 /usr/local/bin/vllm && mkdir -p {DROP_IN}"
        " && printf '[Service]\\nProtectControlGroups=no\\nProtectKernelTunables=no\\n'"
        f" > {DROP_IN}/boot.conf && systemctl daemon-reload && systemctl restart inferwatch"
    )
    yield host
    host.sh(f"systemctl stop 'chat-*'; rm -r /usr/local/bin/vllm {DROP_IN}")


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
