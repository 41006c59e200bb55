"""`inferwatch nagios` as a monitoring system calls it: one line or more, and an exit status."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from agent.__main__ import main
from tests.e2e.process import agent_process, free_port

CRASH = Path(__file__).parents[1] / "recordings" / "vllm-enginecrash.rec.gz"
DOWN = {
    "labels": {"alertname": "EngineDown", "severity": "critical", "instance_name": "chat"},
    "annotations": {"summary": "chat is down"},
    "state": "firing",
}


class Agent:
    """Answers as an agent would, or as nobody should."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {
            "/-/healthy": (200, "ok"),
            "/api/v1/alerts": (200, {"status": "success", "data": {"alerts": []}}),
            "/api/v1/signals": (503, "no engine was seen yet"),
        }
        self.hangs = Event()
        self.ended = Event()
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if agent.hangs.is_set():
                    agent.ended.wait(30)
                status, answer = agent.answers[self.path]
                body = answer if isinstance(answer, str) else json.dumps(answer)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_arguments: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def agent() -> Iterator[Agent]:
    """An agent that listens."""
    one = Agent()
    thread = Thread(target=one.server.serve_forever, args=(0.05,))
    thread.start()
    yield one
    one.ended.set()
    one.server.shutdown()
    one.server.server_close()
    thread.join()


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Return exit status and output of the plugin."""
    status = main(["nagios", *arguments])
    return status, capsys.readouterr().out


def test_a_calm_agent_is_ok(agent: Agent, capsys: pytest.CaptureFixture[str]):
    """A host without engines and alerts is well."""
    status, out = check(capsys, "-u", agent.url)
    assert (status, out.split(" - ")[0]) == (0, "OK")


def test_an_alert_is_critical(agent: Agent, capsys: pytest.CaptureFixture[str]):
    """The exit status is that of the state, as the user has it."""
    agent.answers["/api/v1/alerts"] = (200, {"data": {"alerts": [DOWN]}})
    assert check(capsys, "-u", agent.url) == (
        2,
        "CRITICAL - EngineDown chat\n[CRITICAL] EngineDown chat: chat is down (critical)\n",
    )
    assert check(capsys, "-u", agent.url, "--severity", "critical=warning")[0] == 1
    assert check(capsys, "-u", agent.url, "--alert", "Other")[0] == 0


def test_nobody_there_is_critical(capsys: pytest.CaptureFixture[str]):
    """An agent that cannot be reached is down, unless the user says that this is unknown."""
    status, out = check(capsys, "-u", "http://127.0.0.1:1")
    assert status == 2
    assert out.startswith("CRITICAL - http://127.0.0.1:1 cannot be reached: ")
    assert check(capsys, "-u", "http://127.0.0.1:1", "--unreachable", "unknown")[0] == 3


def test_an_agent_that_hangs_is_critical(agent: Agent, capsys: pytest.CaptureFixture[str]):
    """The plugin ends in its own time, whatever the agent does."""
    agent.hangs.set()
    status, out = check(capsys, "-u", agent.url, "-t", "0.2")
    assert (status, out) == (2, f"CRITICAL - {agent.url} gave no answer within 0.2 s\n")


def test_ticks_that_stopped_are_critical(agent: Agent, capsys: pytest.CaptureFixture[str]):
    """What an agent says that watches no more is of the past."""
    agent.answers["/-/healthy"] = (503, "no tick")
    assert check(capsys, "-u", agent.url)[0] == 2


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/api/v1/alerts", (404, "not found")),
        ("/api/v1/alerts", (200, "<html>")),
        ("/api/v1/alerts", (200, {"data": {"alerts": [{"x": 1}]}})),
        ("/api/v1/signals", (200, {"replicas": 3})),
        ("/api/v1/signals", (200, [1])),
    ],
)
def test_something_else_is_unknown(
    agent: Agent, capsys: pytest.CaptureFixture[str], path: str, answer: tuple[int, Any]
):
    """What does not answer as an agent is none, and nothing is known."""
    agent.answers[path] = answer
    status, out = check(capsys, "-u", agent.url)
    assert status == 3
    assert out.startswith("UNKNOWN - ")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", "gpu7"],
        ["--timeout", "0"],
        ["--limit", "speed=1,2"],
        ["--limit", "queue=a,2"],
        ["--limit", "queue="],
        ["--severity", "warning=bad"],
        ["--nonsense"],
    ],
)
def test_wrong_arguments_are_unknown(capsys: pytest.CaptureFixture[str], arguments: list[str]):
    """A command that is wrongly defined is neither well nor critical."""
    with pytest.raises(SystemExit) as raised:
        main(["nagios", *arguments])
    assert raised.value.code == 3
    assert capsys.readouterr().out.startswith("UNKNOWN - ")


def test_a_real_agent_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """An agent that plays a crash is critical in the end, with the numbers of its engine before."""
    port = free_port()
    arguments = ["replay", str(CRASH), "--speed", "1", "--listen", f"127.0.0.1:{port}"]
    with agent_process(tmp_path, *arguments, port=port) as running:
        status, out = check(capsys, "-u", running.url, "--instance", "chat")
        for _again in range(200):
            if "chat_kv_cache=" in out:
                break
            status, out = check(capsys, "-u", running.url, "--instance", "chat")
    assert "chat_kv_cache=" in out.splitlines()[0]
    assert status in (0, 1, 2)
