"""A real vLLM beside the agent: found, asked, and understood to the token.

Set INFERWATCH_TEST_VLLM to the `bin` folder of an environment with vLLM, or have `vllm` on the
PATH. The server runs on the CPU or on a GPU, whatever that vLLM was built for.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import AgentProcess, agent_process, free_port
from tests.e2e.vllm import environment, vllm_folder

MODEL = Path(__file__).parents[1] / "fakes" / "tiny_model.py"
START_SECONDS = 240


pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(vllm_folder() is None, reason="needs vLLM: see INFERWATCH_TEST_VLLM"),
]

LABELS = '{{engine="vllm",instance_name="vllm-{port}",model_name="tiny",rank="0"}}'


class Engine:
    """A running vLLM."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def complete(self, prompt: list[int], tokens: int) -> dict[str, Any]:
        """Ask for exactly that many tokens and return how many the server counted."""
        body = {"model": "tiny", "prompt": prompt, "max_tokens": tokens, "ignore_eos": True}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            usage: dict[str, Any] = json.load(answer)["usage"]
            return usage


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A vLLM that serves a model of random weights."""
    folder = vllm_folder()
    assert folder is not None
    work = tmp_path_factory.mktemp("vllm")
    env = environment(folder)
    model = work / "model"
    subprocess.run([folder / "python", MODEL, model], env=env, check=True, timeout=120)
    port = free_port()
    command = [
        *(folder / "vllm", "serve", model, "--served-model-name", "tiny"),
        *("--host", "127.0.0.1", "--port", str(port), "--dtype", "bfloat16", "--enforce-eager"),
        *("--max-model-len", "1024", "--max-num-seqs", "4", "--max-num-batched-tokens", "512"),
        *("--block-size", "32", "--num-gpu-blocks-override", "64"),
    ]
    with (work / "vllm.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            assert process.poll() is None, (work / "vllm.log").read_text()[-3000:]
            time.sleep(1)
        yield Engine(process, port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def agent(tmp_path: Path, engine: Engine) -> Iterator[AgentProcess]:
    """An agent that was told nothing of the engine."""
    port = free_port()
    config = tmp_path / "config.yaml"
    config.write_text(
        f"history: {{path: {tmp_path / 'history.db'}}}\n"
        f'exporters: {{http_api: {{listen: ["127.0.0.1:{port}"]}}}}\n'
    )
    with agent_process(tmp_path, "run", "--config", str(config), port=port) as running:
        running.wait_for(
            f'inferwatch_engine_up{{engine="vllm",instance_name="vllm-{engine.port}"}}', 1.0
        )
        yield running


def test_it_is_found_with_its_limits(agent: AgentProcess, engine: Engine):
    """Discovery finds the server and reads the limits that no page carries."""
    labels = f'{{engine="vllm",instance_name="vllm-{engine.port}"}}'
    assert agent.value(f"inferwatch_engine_max_num_seqs{labels}") == 4
    assert agent.value(f"inferwatch_engine_max_num_batched_tokens{labels}") == 512
    assert agent.value(f"inferwatch_engine_max_model_len_tokens{labels}") == 1024
    full = LABELS.format(port=engine.port)
    assert agent.value(f"inferwatch_engine_kv_cache_capacity_tokens{full}") == 63 * 32


def test_tokens_agree_with_the_client(agent: AgentProcess, engine: Engine):
    """What the server told its client is what the agent counts, to the token."""
    labels = LABELS.format(port=engine.port)
    names = ("inferwatch_engine_prompt_tokens_total", "inferwatch_engine_generation_tokens_total")
    before = [agent.value(name + labels) or 0.0 for name in names]
    usage = [engine.complete([5 + seed] * (20 + seed), 10 + seed) for seed in range(5)]
    agent.wait_for(names[1] + labels, before[1] + sum(one["completion_tokens"] for one in usage))
    agent.wait_for(names[0] + labels, before[0] + sum(one["prompt_tokens"] for one in usage))
    assert agent.value(f"inferwatch_engine_requests_abandoned_total{labels}") == 0


def test_its_death_is_seen(agent: AgentProcess, engine: Engine):
    """Once the server is killed it is down, and what it said leaves the page."""
    os.killpg(engine.process.pid, signal.SIGKILL)
    agent.wait_for(f'inferwatch_engine_up{{engine="vllm",instance_name="vllm-{engine.port}"}}', 0.0)
    agent.wait_for(
        f"inferwatch_engine_requests_running{LABELS.format(port=engine.port)}", None, seconds=30
    )
