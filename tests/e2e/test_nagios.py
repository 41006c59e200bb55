"""`inferwatch nagios` as a monitoring system calls it: one line or more, and an exit status."""

import base64
import io
import json
import ssl
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from agent.__main__ import main
from tests.e2e.process import agent_process, free_port
from tests.fakes.certificates import HASH, PASSWORD, write_authority, write_certificate

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
            "/api/v1/rules?type=alert": (
                200,
                {"data": {"groups": [{"rules": [{"name": "EngineDown"}, {"name": "Other"}]}]}},
            ),
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

            def log_message(self, format: str, *_arguments: Any) -> None:  # noqa: A002 - its name
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


def test_an_alert_that_no_rule_gives_is_unknown(agent: Agent, capsys: pytest.CaptureFixture[str]):
    """A slip in its name, or a rule that is switched off, would be well for ever."""
    status, out = check(capsys, "-u", agent.url, "--alert", "Other", "--alert", "EngineDwon")
    assert (status, out) == (
        3,
        "UNKNOWN - no rule of the agent gives an alert EngineDwon; did you mean EngineDown?\n",
    )
    agent.answers["/api/v1/rules?type=alert"] = (404, "an agent of before there were rules")
    assert check(capsys, "-u", agent.url, "--alert", "EngineDwon")[0] == 0


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "utf-8"])
def test_what_cannot_be_written_is_escaped(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, encoding: str
):
    """Whatever the locale of the monitoring system, the state is told: a traceback would be 1."""
    odd = {**DOWN, "annotations": {"summary": "\u4f60\ud800 is down"}}
    agent.answers["/api/v1/alerts"] = (200, {"data": {"alerts": [odd]}})
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    assert main(["nagios", "-u", agent.url]) == 2
    sys.stdout.flush()
    assert written.getvalue().decode(encoding).endswith("\\ud800 is down (critical)\n")


def test_nobody_there_is_critical(capsys: pytest.CaptureFixture[str]):
    """An agent that cannot be reached is down, unless the user says that this is unknown."""
    status, out = check(capsys, "-u", "http://127.0.0.1:1")
    assert status == 2
    why = "Connect call failed ('127.0.0.1', 1)"
    assert out == f"CRITICAL - http://127.0.0.1:1 cannot be reached: {why}\n"
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


def test_an_agent_behind_tls_and_a_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """With the authority, the user and the password it answers; without them it is said why not."""
    certificate, key = write_certificate(tmp_path, "agent")
    authority = write_authority(tmp_path)
    web = tmp_path / "web.yml"
    web.write_text(
        f"tls_server_config: {{cert_file: {certificate}, key_file: {key}}}\n"
        f'basic_auth_users: {{alice: "{HASH}"}}\n'
    )
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    port = free_port()
    config = tmp_path / "config.yaml"
    config.write_text(
        f"history: {{enabled: false}}\nalerts: {{enabled: false}}\n"
        f'exporters: {{http_api: {{listen: ["127.0.0.1:{port}"], web_config: {web}}}}}\n'
    )
    context = ssl.create_default_context(cafile=authority)
    basic = "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    with agent_process(
        tmp_path, "run", "--config", str(config), port=port, context=context,
        headers={"Authorization": basic},
    ):  # fmt: skip
        url = f"https://127.0.0.1:{port}"
        known = ("-u", url, "--ca-file", str(authority))
        allowed = ("--user", "alice", "--password-file", str(password))
        status, out = check(capsys, *known, *allowed)
        assert status in (0, 2), out
        assert "password" not in out
        status, out = check(capsys, *known)
        assert (status, "--password-file" in out) == (3, True)
        assert check(capsys, "-u", url, *allowed)[0] == 2
        assert check(capsys, "-u", url, "--insecure", *allowed)[0] in (0, 2)
    status, out = check(capsys, *known, "--user", "alice")
    assert (status, "belong together" in out) == (3, True)
