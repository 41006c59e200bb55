"""A host with a real vLLM on its CPU, the agent, a Prometheus and an Alertmanager.

Nothing is simulated. vLLM is found as its tests find it: INFERWATCH_TEST_VLLM names the `bin`
folder of an environment that has it, or `vllm` is on the PATH.
"""

import contextlib
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.analysis.bottleneck import Targets
from tests.e2e.process import AgentProcess, agent_process, free_port
from tests.e2e.prometheus import prometheus as server
from tests.e2e.vllm import environment

ROOT: Final = Path(__file__).parents[1]
MODEL: Final = ROOT / "tests" / "fakes" / "tiny_model.py"
RULES: Final = Path(__file__).with_name("faults_rules.yml")

TARGETS: Final = Targets()
"""What users expect: the agent's defaults, which a model this small keeps on a CPU."""

KEY: Final = "of-its-users"
MAX_LENGTH: Final = 1024
START_SECONDS: Final = 300.0

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Engine:
    """A vLLM that serves a model of random weights on the CPU.

    Args:
        folder: for the model and the log.
        programs: the folder with `vllm`.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "vllm.log"
        self._folder, self._programs = folder, programs
        self._process: subprocess.Popen[bytes] | None = None
        self._env = environment(programs)

    @property
    def pid(self) -> int:
        """Return the server's process id, which is its process group too."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start it and return after how many seconds it was ready.

        Raises:
            RuntimeError: it ended, or was not ready in time.
        """
        model = self._folder / "model"
        if not model.exists():
            subprocess.run(
                [self._programs / "python", MODEL, model], env=self._env, check=True, timeout=120
            )
        begun = time.monotonic()
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self._command(model), env=self._env, stdout=out, stderr=out, start_new_session=True
            )
        while time.monotonic() - begun < START_SECONDS:
            with contextlib.suppress(OSError):
                _DIRECT.open(f"{self.url}/health", timeout=2).close()
                return time.monotonic() - begun
            if self._process.poll() is not None:
                break
            time.sleep(0.5)
        raise RuntimeError(f"vLLM is not ready:\n{self.log.read_text()[-3000:]}")

    def _command(self, model: Path) -> list[str]:
        """Return how it is called."""
        return [
            *(str(self._programs / "vllm"), "serve", str(model), "--served-model-name", "tiny"),
            *("--host", "127.0.0.1", "--port", str(self.port), "--dtype", "bfloat16"),
            *("--enforce-eager", "--max-model-len", str(MAX_LENGTH), "--max-num-seqs", "16"),
            *("--max-num-batched-tokens", "2048", "--block-size", "32"),
            *("--num-gpu-blocks-override", "128", "--api-key", KEY),
        ]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        os.killpg(self.pid, number)

    def end(self) -> None:
        """Kill whatever is left of it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def configuration(
    port: int, *, alertmanager: str | None, state: Path, engine: Engine | None = None
) -> str:
    """Return what a user would set: where to serve, whom to tell, where to keep state.

    Args:
        port: where the agent serves.
        alertmanager: its address.
        state: the agent's folder.
        engine: one whose log the agent is to read, by the name that it would be found under; it
            is no unit of systemd, so `inferwatch doctor` says that its log file has to be named.
    """
    receivers = f"[{{name: main, url: {alertmanager}}}]" if alertmanager else "[]"
    named = (
        f"[{{name: vllm-{engine.port}, engine: vllm, url: {engine.url}, log_file: {engine.log}}}]"
        if engine
        else "[]"
    )
    return (
        f"collectors: {{host: {{folders: [/, {state}]}}, engines: {{instances: {named}}}}}\n"
        f"history: {{path: {state / 'history.db'}}}\n"
        "exporters:\n"
        f'  http_api: {{listen: ["127.0.0.1:{port}"]}}\n'
        f"  alertmanager: {{receivers: {receivers}}}\n"
    )


@contextlib.contextmanager
def agent(
    folder: Path, *, alertmanager: str | None, state: Path, engine: Engine | None = None
) -> Iterator[AgentProcess]:
    """Keep an agent running that was told no more than `configuration` says."""
    port = free_port()
    config = folder / "config.yaml"
    state.mkdir(exist_ok=True)
    config.write_text(configuration(port, alertmanager=alertmanager, state=state, engine=engine))
    with agent_process(folder, "run", "--config", str(config), port=port) as running:
        yield running


@contextlib.contextmanager
def prometheus(
    folder: Path, *, engine: int, alertmanager: str | None, others: tuple[int, ...] = ()
) -> Iterator[int]:
    """Keep a Prometheus with the common rules; yields its process id.

    It scrapes as most do, every 15 s, and is told of nothing but the engine and `others`.
    """
    rest = "".join(
        f"  - {{job_name: other{other}, static_configs: [{{targets: ['127.0.0.1:{other}']}}]}}\n"
        for other in others
    )
    told = (
        "alerting: {alertmanagers: [{static_configs: [{targets: ['"
        f"{alertmanager.removeprefix('http://')}']}}]}}]}}\n"
        if alertmanager
        else ""
    )
    config = (
        "global: {scrape_interval: 15s, evaluation_interval: 15s}\n"
        f"rule_files: ['{RULES}']\n{told}"
        "scrape_configs:\n"
        f"  - {{job_name: vllm, static_configs: [{{targets: ['127.0.0.1:{engine}']}}]}}\n{rest}"
    )
    with server(folder, config) as running:
        yield running.process.pid


@contextlib.contextmanager
def node_exporter(folder: Path) -> Iterator[tuple[int, int]]:
    """Keep Prometheus's node_exporter running; yields its process id and its port."""
    port = free_port()
    with (folder / "node_exporter.log").open("wb") as out:
        process = subprocess.Popen(
            ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=out,
            stderr=out,
        )
    try:
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(timeout=20)
