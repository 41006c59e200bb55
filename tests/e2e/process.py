"""Runs the agent as its users do: a process of its own, asked over HTTP."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


def free_port() -> int:
    """Return a TCP port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class AgentProcess:
    """A running agent."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    context: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return status and text of an answer."""
        return self._ask(
            urllib.request.Request(self.url + path, headers={**self.headers, **headers})
        )

    def post(self, path: str, **headers: str) -> tuple[int, str]:
        """Return status and text of the answer to a POST."""
        given = {**self.headers, **headers}
        return self._ask(urllib.request.Request(self.url + path, method="POST", headers=given))

    def _ask(self, request: urllib.request.Request) -> tuple[int, str]:
        # Whatever proxy this machine is told to use, the agent is on it.
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context)
        )
        try:
            with direct.open(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def value(self, series: str) -> float | None:
        """Return the value of a series as it is written on the page, None if it is not there."""
        _status, page = self.get("/metrics")
        for line in page.splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return None

    def wait_for(self, series: str, value: float | None, *, seconds: float = 15.0) -> None:
        """Wait until a series has a value, or is gone for None."""
        end = time.monotonic() + seconds
        seen: float | None = float("nan")
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                seen = self.value(series)
                if seen == value:
                    return
            time.sleep(0.05)
        raise AssertionError(
            f"{series} is {seen}, expected {value}; the log:\n{self.log.read_text()}"
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """End it as systemd does and return its exit status."""
        self.process.terminate()
        return self.process.wait(timeout=10)


@contextlib.contextmanager
def served_engine() -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """Run a vLLM with a captured page in a process that can be frozen; yield it and its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.serve_engine", str(port)],
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def agent_process(
    folder: Path,
    *arguments: str,
    port: int,
    env: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[AgentProcess]:
    """Run `python -I -m agent ARGUMENTS` until the block ends; wait for its first page.

    With a context it is asked over TLS; `headers` go with each request. A configuration has to say
    where the state is kept: by default it would be that of the service of this machine.
    """
    if "--config" in arguments:
        written = Path(arguments[arguments.index("--config") + 1]).read_text("utf-8")
        assert "history:" in written, "the test would write to /var/lib/inferwatch"
    log = folder / "agent.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "agent", *arguments],
            stderr=out,
            stdout=out,
            cwd=folder,
            env=dict(env or os.environ),
        )
    url = f"{'https' if context else 'http'}://127.0.0.1:{port}"
    agent = AgentProcess(process, url, log, context, headers or {})
    try:
        end = time.monotonic() + 30.0
        while True:
            with contextlib.suppress(OSError):
                if agent.get("/-/ready")[0] == 200:
                    break
            if time.monotonic() > end:
                raise AssertionError(f"the agent is not ready in time:\n{log.read_text()}")
            if process.poll() is not None:
                raise AssertionError(f"the agent has ended:\n{log.read_text()}")
            time.sleep(0.05)
        yield agent
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
