"""Reports over HTTP: each in a process of its own, one at a time, with clear answers."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.app import reports
from agent.app.reports import Reports
from tests.agent.report.made_up import write

PROGRAM = (sys.executable, "-I", "-m", "agent", "report", "--limited")


def script(code: str) -> Sequence[str]:
    """Return a program in place of the real one."""
    return (sys.executable, "-I", "-c", code)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose history is a short one."""
    write(tmp_path / "history.db", days=0.05)
    path = tmp_path / "config.yaml"
    path.write_text(f"history: {{path: {tmp_path / 'history.db'}}}\n")
    return path


async def test_a_report_is_made_in_a_process_of_its_own(config: Path):
    """The real command answers with the document, and with why there is none."""
    making = Reports(config, program=PROGRAM)

    good = await making.answer({"instance": "chat"})
    nobody = await making.answer({"instance": "--help"})

    assert good.status == 200, good.why
    assert good.body is not None
    with good.body as body:
        assert json.load(body)["schema"] == "inferwatch.report/1"
    assert good.kind == "application/json"
    assert (nobody.status, nobody.body) == (404, None)
    assert "'--help'" in nobody.why


async def test_a_history_that_is_not_there_is_unavailable(tmp_path: Path):
    """Not the fault of whoever asks: 503, with the file."""
    path = tmp_path / "config.yaml"
    path.write_text(f"history: {{path: {tmp_path / 'none.db'}}}\n")

    found = await Reports(path, program=PROGRAM).answer({})

    assert found.status == 503
    assert "none.db" in found.why


@pytest.mark.parametrize(
    "query",
    [{"format": "pdf"}, {"from": "yesterday"}, {"since": "1d", "from": "1d"}, {"colour": "red"},
     {"against": "b"}, {"instance": "a\0b"}],
)  # fmt: skip
async def test_what_makes_no_sense_starts_nothing(query: dict[str, str]):
    """400 with what was expected, and no process."""
    found = await Reports(None, program=("/nonexistent",)).answer(query)

    assert found.status == 400
    assert found.why


async def test_one_at_a_time(tmp_path: Path):
    """While one is made, another is told to come again; afterwards it is made."""
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    making = Reports(None, program=script(f"open({str(fifo)!r}).read(); print('done')"))

    first = asyncio.create_task(making.answer({}))
    await asyncio.sleep(0)
    second = await making.answer({})
    await asyncio.to_thread(fifo.write_text, "")

    made = await first
    assert second.status == 503
    assert made.body is not None
    with made.body as body:
        assert body.read() == b"done\n"


async def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch):
    """No process is left behind."""
    monkeypatch.setattr(reports, "LONGEST", 0.01)
    making = Reports(None, program=script("import signal; signal.pause()"))

    found = await making.answer({})

    assert found.status == 503
    assert "shorter time" in found.why


async def test_closing_ends_what_is_being_made():
    """The agent does not wait for a report when it ends."""
    making = Reports(None, program=script("import signal; signal.pause()"))
    under_way = asyncio.create_task(making.answer({}))
    while making._process is None:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)

    await making.aclose()

    assert (await under_way).status == 503


@pytest.mark.parametrize(("status", "expected"), [(2, 400), (3, 503), (4, 404), (1, 503)])
async def test_how_the_process_ends_is_what_is_answered(status: int, expected: int):
    """With what it wrote about it."""
    code = f"import sys; print('because', file=sys.stderr); sys.exit({status})"

    found = await Reports(None, program=script(code)).answer({})

    assert (found.status, found.why) == (expected, "because")


async def test_a_process_limits_itself():
    """Memory and processor are bounded, and it is nice: asked of the process itself."""
    code = (
        "import os, resource; from agent.app.report import limit_itself; limit_itself();"
        "print(os.nice(0), resource.getrlimit(resource.RLIMIT_CPU)[0],"
        " resource.getrlimit(resource.RLIMIT_DATA)[0], open('/proc/self/oom_score_adj').read())"
    )
    found = await Reports(None, program=script(code)).answer({})

    assert found.body is not None, found.why
    with found.body as body:
        nice, processor, memory, score = map(int, body.read().split())
    assert (nice, processor, memory, score) == (min(19, os.nice(0) + 10), 240, 384 * 2**20, 1000)


def test_the_agent_does_not_carry_what_makes_reports():
    """A daemon that has started has imported nothing that only reports need.

    What its own page has in common with them is small: words, style, and how SVG is written.
    """
    code = (
        "import sys, agent.commands.run;"
        "print(*[m for m in sys.modules if m.startswith('agent.report.')])"
    )
    found = subprocess.run([*script(code)], capture_output=True, text=True, check=True)

    shared = {"asked", "plot", "plot.svg", "style", "words"}
    assert {name.removeprefix("agent.report.") for name in found.stdout.split()} == shared
