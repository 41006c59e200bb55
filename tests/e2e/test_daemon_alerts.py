"""The daemon itself: an engine freezes, a real Alertmanager hears of it once, and of its return."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import alertmanager
from tests.e2e.alertmanager import Pager, RealAlertmanager
from tests.e2e.process import agent_process, free_port, served_engine
from tests.servers import NEEDS_ALERTMANAGER

pytestmark = [
    pytest.mark.server,
    NEEDS_ALERTMANAGER,
]

ALERT = "EngineFrozen"

RULES = """
groups:
  - name: test
    rules:
      - alert: EngineFrozen
        expr: inferwatch_engine_up == 0
        for: 1s
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.instance_name }} does not answer"}
"""

CONFIG = """
tick: {{interval: 200ms}}
exporters:
  http_api: {{listen: ["127.0.0.1:{port}"]}}
  alertmanager:
    receivers: [{{name: main, url: "{alertmanager}"}}]
labels: {{instance: "h:9745", external: {{site: test}}}}
history: {{path: "{folder}/history.db"}}
alerts: {{shipped: false, rule_files: ["{folder}/*.rules.yml"]}}
collectors:
  nvml: {{enabled: false}}
  dcgm: {{enabled: false}}
  discovery: {{enabled: false}}
  engines:
    interval: 200ms
    timeout: 500ms
    stale_after: 1500ms
    instances: [{{name: chat, engine: vllm, url: "{engine}"}}]
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[RealAlertmanager, Pager]]:
    """A running Alertmanager and the one whom it notifies."""
    with alertmanager.running(tmp_path) as both:
        yield both


def until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait for what other processes bring about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_frozen_engine_is_told_once_through_a_restart(
    tmp_path: Path, server: tuple[RealAlertmanager, Pager]
):
    """One notification although the agent restarts while it fires, one word that it is over."""
    receiver, pager = server
    port = free_port()
    (tmp_path / "test.rules.yml").write_text(RULES)
    config = tmp_path / "config.yaml"
    with served_engine() as (engine, url):
        config.write_text(
            CONFIG.format(port=port, alertmanager=receiver.url, folder=tmp_path, engine=url)
        )
        up = 'inferwatch_engine_up{engine="vllm",instance_name="chat"}'
        with agent_process(tmp_path, "run", "--config", str(config), port=port) as agent:
            agent.wait_for(up, 1.0)
            engine.send_signal(signal.SIGSTOP)
            agent.wait_for('inferwatch_alerts{alertname="EngineFrozen",state="firing"}', 1.0)
            until(lambda: pager.states(ALERT) == ["firing"])
            assert agent.stop() == 0
        with agent_process(tmp_path, "run", "--config", str(config), port=port) as agent:
            agent.wait_for('inferwatch_alerts{alertname="EngineFrozen",state="firing"}', 1.0)
            engine.send_signal(signal.SIGCONT)
            agent.wait_for(up, 1.0)
            until(lambda: pager.states(ALERT) == ["firing", "resolved"])
    assert len({fingerprint for _name, _state, fingerprint in pager.notified}) == 1
    assert (tmp_path / "history.db").stat().st_size > 0
