"""The whole daemon in front of simulated engines and GPUs: real ports, the real driver child."""

import random
from pathlib import Path

import pytest

from tests.e2e.process import agent_process, free_port
from tests.fakes.nvml.controller import StubDriver
from tests.simulator.engine import Engine
from tests.simulator.gpus import Card
from tests.simulator.law import StepLaw
from tests.simulator.limits import Limits
from tests.simulator.server import Server, ServerThread
from tests.simulator.simulation import Member, Simulation
from tests.simulator.workload import ClosedLoop, Evenly, Mix

CONFIG = """
tick: {{interval: 200ms}}
history: {{path: {folder}/history.db}}
exporters: {{http_api: {{listen: ["127.0.0.1:{port}"]}}}}
collectors:
  nvml: {{interval: 200ms, timeout: 1s, stale_after: 1500ms}}
  discovery: {{enabled: false}}
  engines:
    interval: 200ms
    timeout: 500ms
    stale_after: 1500ms
    instances:
      - {{name: tight, engine: vllm, url: "{tight}"}}
      - {{name: roomy, engine: vllm, url: "{roomy}"}}
"""

SPEED = 10.0


def simulation() -> Simulation:
    """Return two engines on one GPU: one has too few blocks for its clients, the other many."""
    law = StepLaw(host=0.001, weights=0.02, kv=1e-6, token=1e-4)
    mix = Mix(prompt=Evenly(100, 200), output=Evenly(50, 150))

    def engine(blocks: int, seed: int) -> Engine:
        load = ClosedLoop(mix, [(0.0, 12)], dice=random.Random(seed))
        limits = Limits(max_num_seqs=32, num_blocks=blocks, max_model_len=512)
        return Engine(law, limits, load, dice=random.Random(seed))

    members = [
        Member(engines=[engine(blocks, seed)], kv_bytes=1e9 * blocks / 100)
        for seed, blocks in enumerate((80, 800))
    ]
    return Simulation(members=members, seconds=3600, cards=[Card(index=0)])


def labels(name: str) -> str:
    """Return the labels of an engine as the page writes them."""
    return f'{{engine="vllm",instance_name="{name}",model_name="mid",rank="0"}}'


def test_the_daemon_sees_what_is_simulated(tmp_path: Path):
    """Requests that wait for blocks, preemptions and the GPU's memory stand on the agent's page."""
    driver = StubDriver(tmp_path, gpus=1)
    port = free_port()
    server = Server(simulation(), speed=SPEED, driver=driver)
    with ServerThread(server):
        config = tmp_path / "config.yaml"
        config.write_text(
            CONFIG.format(port=port, tight=server.urls[0], roomy=server.urls[1], folder=tmp_path),
            encoding="utf-8",
        )
        with agent_process(
            tmp_path, "run", "--config", str(config), port=port, env=driver.env()
        ) as agent:
            agent.wait_for('inferwatch_engine_up{engine="vllm",instance_name="tight"}', 1.0)
            agent.wait_for('inferwatch_source_up{source="nvml"}', 1.0)
            # 79 blocks of 16 tokens.
            agent.wait_for(f"inferwatch_engine_kv_cache_capacity_tokens{labels('tight')}", 1264.0)
            waiting = agent.value(f"inferwatch_engine_requests_waiting{labels('tight')}")
            running = agent.value(f"inferwatch_engine_requests_running{labels('tight')}")
            thrown_out = agent.value(f"inferwatch_engine_preemptions_total{labels('tight')}")
            roomy = agent.value(f"inferwatch_engine_requests_running{labels('roomy')}")
            held = agent.value(
                'inferwatch_gpu_memory_used_bytes{gpu="0",'
                'uuid="GPU-00000000-1111-2222-3333-444444444444"}'
            )
    assert waiting is not None
    assert waiting >= 1.0
    assert running == pytest.approx(12.0 - waiting, abs=2.0)
    assert thrown_out is not None
    assert thrown_out >= 1.0
    assert roomy == pytest.approx(12.0, abs=2.0)
    gib = float(1 << 30)
    assert held == pytest.approx(2 * (16 + 4) * gib + 8.8e9)
