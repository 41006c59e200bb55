"""`inferwatch doctor` as its users meet it: words, exit status, JSON."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.app.doctor import Finding, State
from agent.commands import doctor
from agent.config import Settings
from agent.model import ConfigError

WELL = Finding(topic="host", state=State.OK, found="2 CPUs")
LESS = Finding(
    topic="engines", state=State.MISSING, found="none", costs="verdicts", advice="start one"
)
BAD = Finding(topic="address :1", state=State.BROKEN, found="taken", costs="all", advice="choose")


def examined(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> list[Any]:
    """Have these findings found; return what they were asked with."""
    asked: list[Any] = []

    async def examine(settings: Settings | ConfigError, **_given: Any) -> AsyncIterator[Finding]:
        asked.append(settings)
        for finding in findings:
            yield finding

    monkeypatch.setattr(doctor, "examine", examine)
    return asked


@pytest.mark.parametrize(
    ("findings", "status", "last"),
    [
        ((WELL,), 0, "1 well, 0 missing, 0 broken. Nothing is missing."),
        ((WELL, LESS), 0, "1 well, 1 missing, 0 broken. What is missing may be as you want it"),
        ((WELL, LESS, BAD), 1, "1 well, 1 missing, 1 broken. What is broken wants somebody"),
    ],
)
def test_words_and_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    findings: tuple[Finding, ...],
    status: int,
    last: str,
):
    """Only what is broken fails; what is missing says what it costs and what to do."""
    examined(monkeypatch, *findings)
    assert main(["doctor"]) == status
    said = capsys.readouterr().out
    assert "OK       host: 2 CPUs\n" in said
    assert said.splitlines()[-1].startswith(last)
    if LESS in findings:
        assert "MISSING  engines: none\n         costs: verdicts\n         do: start one\n" in said


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The same for programs, and nothing else on standard output."""
    examined(monkeypatch, WELL, BAD)
    assert main(["doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["findings"] == [WELL.as_json(), BAD.as_json()]
    assert told["findings"][1]["state"] == "broken"


def test_a_configuration_with_problems_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    """The doctor does not end with it: it says so and goes on."""
    file = tmp_path / "c.yaml"
    file.write_text("tick: {interval: never}\n", "utf-8")
    (asked,) = [examined(monkeypatch, WELL)]
    assert main(["doctor", "--config", str(file)]) == 0
    assert isinstance(asked[0], ConfigError)
    assert "host: 2 CPUs" in capsys.readouterr().out


def test_another_address(monkeypatch: pytest.MonkeyPatch):
    """As `run` takes it."""
    asked = examined(monkeypatch, WELL)
    assert main(["doctor", "--listen", "127.0.0.1:9800"]) == 0
    assert [str(one) for one in asked[0].exporters.http_api.listen] == ["127.0.0.1:9800"]


def test_as_the_service(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Rights are given up before anything is looked at, and it is said whose eyes these are."""
    examined(monkeypatch, WELL)
    monkeypatch.setattr(doctor, "become_service", lambda: "watcher")
    assert main(["doctor", "--as-service"]) == 0
    assert ", as the service, watcher.\n" in capsys.readouterr().out
