"""`inferwatch doctor` as a process: beside a running agent, with a driver and an engine."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import AgentProcess, agent_process, free_port, served_engine
from tests.fakes.nvml.controller import StubDriver

CONFIG = """
history: {{path: {folder}/history.db}}
exporters: {{http_api: {{listen: ["127.0.0.1:{port}"]}}}}
collectors:
  dcgm: {{enabled: false}}
  discovery: {{enabled: false}}
  engines:
    instances:
      - {{name: chat, engine: vllm, url: "{url}"}}
"""


@dataclass
class Host:
    """An agent, and the engine and the driver that it watches."""

    agent: AgentProcess
    engine: "subprocess.Popen[bytes]"
    env: Mapping[str, str]
    config: Path

    def doctor(self) -> tuple[int, dict[str, Any]]:
        """Return the exit status of the doctor, and what it found by topic."""
        found = subprocess.run(
            [sys.executable, "-I", "-m", "agent", "doctor", "--json", "--config", self.config],
            env=dict(self.env), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        told = json.loads(found.stdout)["findings"]
        return found.returncode, {one["topic"]: one for one in told}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A running agent with one engine and two GPUs."""
    env, port = StubDriver(tmp_path, gpus=2).env(), free_port()
    config = tmp_path / "config.yaml"
    with served_engine() as (engine, url):
        config.write_text(CONFIG.format(port=port, url=url, folder=tmp_path), "utf-8")
        run = ("run", "--config", str(config))
        with agent_process(tmp_path, *run, port=port, env=env) as agent:
            yield Host(agent, engine, env, config)


def test_beside_a_running_agent(host: Host):
    """All is found and nothing broken; killed engine and agent are told apart from the rest."""
    status, found = host.doctor()
    assert status == 0, found
    driver = found["NVIDIA driver and GPUs"]
    assert driver["state"] == "ok"
    assert driver["found"].startswith("driver 570.86.15, GPU 0: ")
    assert "its page is understood" in found["engine chat"]["found"]
    (address,) = (one for topic, one in found.items() if topic.startswith("address"))
    assert "an agent runs and is healthy" in address["found"]
    assert found["state folder"]["state"] == "ok"

    host.engine.kill()
    host.agent.signal(signal.SIGKILL)
    host.agent.process.wait()
    status, found = host.doctor()
    assert status == 1
    assert [topic for topic, one in found.items() if one["state"] == "broken"] == ["engine chat"]
    (address,) = (one for topic, one in found.items() if topic.startswith("address"))
    assert address["state"] == "missing"
