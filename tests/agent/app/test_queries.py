"""Queries in a process of their own: it is bounded, and the agent goes on whatever happens."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.app import queries
from agent.queries.asked import NoAnswerError, Trouble
from tests.agent.app.asking import SLOW, START, World, always, child_of, gone, instant, result
from tests.fakes.history import FULL


@pytest.fixture
async def worlds() -> AsyncIterator[Callable[..., World]]:
    """Make worlds whose processes end with the test."""
    made: list[World] = []

    def make(path: Path | None = None, **limits: Any) -> World:
        made.append(World(path, **limits))
        return made[-1]

    yield make
    for world in made:
        for one in world.made:
            await one.aclose()
        world.history.close()


async def test_one_process_answers_all(worlds: Callable[..., World]):
    """It starts with the first question and stays; the samples are those of the agent's memory."""
    asking = worlds().queries()
    assert asking._running is None

    first = await result(asking, f"sum({FULL.name})")
    child = child_of(asking)
    found = await asyncio.gather(*(result(asking, f"{FULL.name}{{x='{n}'}}") for n in range(3)))

    assert first == [{"metric": {}, "value": [START + 9, "27"]}]
    assert [one[0]["metric"]["x"] for one in found] == ["0", "1", "2"]
    assert child_of(asking) == child


async def test_what_is_on_disk_is_read_there(tmp_path: Path, worlds: Callable[..., World]):
    """By the process: what the agent has in memory no longer, or never had."""
    before = worlds(tmp_path / "h.db")
    before.history.close()
    world = worlds(tmp_path / "h.db")
    world.history.close()  # an empty memory would be as good

    found = await result(world.queries(), f"count_over_time({FULL.name}{{x='0'}}[1m])")

    assert found[0]["value"][1] == "10"


async def test_a_query_that_takes_too_long_is_killed(worlds: Callable[..., World]):
    """With Prometheus's words, and the next one is answered."""
    asking = worlds().queries()
    await result(asking, "1")
    child = child_of(asking)

    with pytest.raises(NoAnswerError, match="query timed out in expression evaluation") as raised:
        await result(asking, SLOW, patience=0.05)

    assert raised.value.trouble is Trouble.TIMEOUT
    await asyncio.gather(*asking._ending)
    assert gone(child)
    assert await result(asking, "1") == [START + 9, "1"]


async def test_a_pattern_that_backtracks_is_killed_too(worlds: Callable[..., World]):
    """Python's `re` would go on for years; the loop has its turns meanwhile."""
    world = worlds()
    asking = world.queries()
    await result(asking, "1")
    pattern = "label_replace(vector(1), 'a', '" + "a" * 40 + "', '', '')"
    query = f"label_replace({pattern}, 'b', 'x', 'a', '(a+)+b')"
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    counting = asyncio.create_task(count())
    with pytest.raises(NoAnswerError, match="timed out"):
        await result(asking, query, patience=0.2)
    counting.cancel()

    assert turns > 20


async def test_a_query_that_wants_too_much_memory_is_refused(worlds: Callable[..., World]):
    """The process ends, since its memory is in pieces, and the next question starts another."""
    asking = worlds(samples=10**9, memory=64 * 2**20).queries()
    await result(asking, "1")
    child = child_of(asking)

    with pytest.raises(NoAnswerError, match="more memory than it may have: 64 MiB") as raised:
        await result(asking, "count_over_time(vector(1)[60d:1s])")

    assert raised.value.trouble is Trouble.EXECUTION
    await asyncio.gather(*asking._ending)
    assert gone(child)
    assert await result(asking, "1") == [START + 9, "1"]


async def test_a_process_that_is_killed_is_replaced(worlds: Callable[..., World]):
    """As the system does when memory runs out: 503 with the signal, then all is well."""
    asking = worlds().queries()
    await result(asking, "1")
    under_way = asyncio.create_task(result(asking, SLOW))
    await asyncio.sleep(0)
    os.kill(child_of(asking), signal.SIGKILL)

    with pytest.raises(NoAnswerError, match="by signal 9") as raised:
        await under_way

    assert raised.value.trouble is Trouble.UNAVAILABLE
    assert await result(asking, "1") == [START + 9, "1"]


async def test_a_process_that_has_died_meanwhile_is_replaced(worlds: Callable[..., World]):
    """Whoever asks next does not have to ask twice."""
    asking = worlds().queries()
    await result(asking, "1")
    assert asking._running is not None
    os.kill(child_of(asking), signal.SIGKILL)
    await asking._running.process.wait()

    assert await result(asking, "1") == [START + 9, "1"]


async def test_nobody_listens_any_more(worlds: Callable[..., World]):
    """A query whose asker has left is given up, before it begins and while it runs."""
    asking = worlds().queries()
    heard = iter([True, True, False])

    with pytest.raises(NoAnswerError) as raised:
        await result(asking, SLOW, listens=lambda: next(heard, False))
    with pytest.raises(NoAnswerError):
        await result(asking, SLOW, listens=lambda: False)

    assert raised.value.trouble is Trouble.CANCELED
    assert asking._running is None


async def test_the_queue_is_bounded(worlds: Callable[..., World]):
    """Some wait, the others are told to come again; who waits too long is told that."""
    asking = worlds(waiting=2).queries()
    await result(asking, "1")
    busy = asyncio.create_task(result(asking, SLOW, patience=0.5))
    await asyncio.sleep(0)
    waits = asyncio.create_task(result(asking, "1"))
    late = asyncio.create_task(result(asking, "1", patience=0.01))
    await asyncio.sleep(0)

    with pytest.raises(NoAnswerError, match="too many queries") as refused:
        await result(asking, "1")
    with pytest.raises(NoAnswerError, match="query timed out in query queue") as queued:
        await late
    with pytest.raises(NoAnswerError, match="expression evaluation"):
        await busy

    assert refused.value.trouble is Trouble.UNAVAILABLE
    assert queued.value.trouble is Trouble.TIMEOUT
    assert await waits == [START + 9, "1"]


async def test_answers_that_nobody_reads_are_bounded(
    worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
):
    """They lie in memory; no further one is made until some are read."""
    monkeypatch.setattr(queries, "HELD", 10)
    asking = worlds().queries()
    body = await asking.answer(instant(FULL.name), listens=always)

    with pytest.raises(NoAnswerError, match="wait to be read"):
        await result(asking, "1")
    body.close()
    body.close()

    assert await result(asking, "1") == [START + 9, "1"]


async def test_the_process_ends_when_nobody_asks(
    worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
):
    """Its memory comes back; the next question starts another."""
    monkeypatch.setattr(queries, "IDLE", 0.0)
    asking = worlds().queries()
    await result(asking, "1")

    while asking._running is not None:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)

    assert await result(asking, "1") == [START + 9, "1"]


async def test_other_limits_hold_from_the_next_question_on(worlds: Callable[..., World]):
    """The process that has the old ones answers what it was asked, and no more."""
    world = worlds()
    asking = world.queries()
    await result(asking, "1")
    under_way = asyncio.create_task(result(asking, f"sum({FULL.name})"))
    await asyncio.sleep(0)
    asking.use(replace(world.limits, samples=2))
    assert (await under_way)[0]["value"][1] == "27"

    with pytest.raises(NoAnswerError, match="too many samples"):
        await result(asking, f"{FULL.name}[1m]")
    asking.use(world.limits)
    assert asking._running is None


async def test_closing_ends_what_runs(worlds: Callable[..., World]):
    """Whoever waits learns that there is no answer; nothing starts again."""
    asking = worlds().queries()
    await result(asking, "1")
    child = child_of(asking)
    running = asyncio.create_task(result(asking, SLOW))
    waiting = asyncio.create_task(result(asking, "1"))
    await asyncio.sleep(0)

    await asking.aclose()
    await asking.aclose()

    found = await asyncio.gather(running, waiting, return_exceptions=True)
    assert [type(one) for one in found] == [NoAnswerError, NoAnswerError]
    assert gone(child)


async def test_no_process_can_start(worlds: Callable[..., World]):
    """Said with the reason, and tried again at the next question."""
    world = worlds()
    world.program = ("/nonexistent",)

    with pytest.raises(NoAnswerError, match="No such file") as raised:
        await result(world.queries(), "1")

    assert raised.value.trouble is Trouble.UNAVAILABLE


@pytest.mark.parametrize(
    "code", ["pass", "import os; os.write(0, b'x' * 100)", "import os; os.read(0, 1)"]
)
async def test_a_process_that_makes_no_sense_is_ended(worlds: Callable[..., World], code: str):
    """Whatever it says, or says not."""
    world = worlds()
    world.program = (sys.executable, "-I", "-c", code)
    asking = world.queries()

    with pytest.raises(NoAnswerError) as raised:
        await result(asking, "1")

    assert raised.value.trouble is Trouble.UNAVAILABLE
    assert asking._running is None


async def test_a_recording_is_asked_as_if_it_were_now(worlds: Callable[..., World]):
    """Times of the question are put back, those of the answer forward."""
    world = worlds()
    world.wall.advance(5000.0)
    asked = replace(instant(f"{FULL.name}{{x='0'}}"), start=START + 5009)

    body = await world.queries().answer(asked, listens=always)

    assert json.loads(body.file.read())["data"]["result"][0]["value"] == [START + 5009, "9"]
    body.close()


async def test_the_process_limits_itself_and_ends_with_the_agent(worlds: Callable[..., World]):
    """It is nice, bounded in memory, the first to be killed, and holds nothing of the agent's."""
    asking = worlds(memory=200 * 2**20).queries()
    await result(asking, f"sum({FULL.name})")
    child = Path(f"/proc/{child_of(asking)}")

    limits = {
        line[:25].strip(): line[25:].split()
        for line in child.joinpath("limits").read_text().splitlines()
    }
    nice = int(child.joinpath("stat").read_text().rpartition(")")[2].split()[16])

    assert limits["Max data size"][:2] == [str(200 * 2**20)] * 2
    assert nice == min(19, os.nice(0) + 10)
    assert child.joinpath("oom_score_adj").read_text() == "1000\n"
    assert len([*child.joinpath("fd").iterdir()]) <= 6  # nothing is left of answers


def test_the_process_dies_with_the_agent():
    """Also when the agent is killed and closes nothing."""
    code = (
        "import asyncio, sys, os\n"
        "sys.path.insert(0, os.getcwd())\n"
        "from tests.agent.app.asking import World, result, child_of, SLOW\n"
        "async def main():\n"
        "    asking = World().queries()\n"
        "    await result(asking, '1')\n"
        "    asyncio.create_task(result(asking, SLOW))\n"
        "    await asyncio.sleep(0)\n"
        "    print(child_of(asking), flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        watched = os.pidfd_open(int(agent.stdout.readline()))
        agent.kill()
    ended, _writable, _failed = select.select([watched], [], [], 10.0)
    os.close(watched)

    assert ended


def test_the_agent_does_not_carry_what_answers():
    """A daemon that has started has imported nothing that only the process needs."""
    code = "import sys, agent.commands.run; print(*[m for m in sys.modules if 'queries' in m])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    carried = found.stdout.split()
    assert "agent.app.queries" in carried
    assert not {"agent.queries.answers", "agent.queries.child", "agent.queries.samples"} & {
        *carried
    }
