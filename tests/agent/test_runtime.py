"""The tick: nothing that one source does reaches another, the tick or the page.

All of it runs in virtual time: a timeout of seconds costs none.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agent.config.settings import Source
from agent.model import (
    Event,
    Frame,
    Look,
    Reading,
)
from agent.runtime import PATIENCE_LIMIT
from agent.steps import Steps
from tests.agent.bench import KEY, QUICK, TABLE, Bench, value_of, virtual
from tests.fakes.clock import VirtualLoop, run_virtual
from tests.fakes.collectors import (
    ScriptedCollector,
)
from tests.fakes.samples import samples


@virtual
async def test_a_tick_looks_concludes_and_publishes():
    """A frame has the values read in its tick, one timestamp, and goes to every exporter."""
    bench = Bench(
        ScriptedCollector("a", value_of("x", 1.0)), ScriptedCollector("b", value_of("y", 2))
    )
    now = bench.clock.time()
    frame = await bench.runtime.tick()
    shown = samples(TABLE, frame)
    assert (shown[KEY % "x"], shown[KEY % "y"]) == (1.0, 2.0)
    assert frame.time == now
    assert bench.frames == [frame]
    assert bench.log.exporters == [("noted", "")]


@virtual
async def test_ticks_keep_their_rhythm():
    """Ticks are an interval apart however long each of them took, without drift."""
    bench = Bench(ScriptedCollector("a", value_of("x", 1.0), delay=0.2))
    await bench.ticks(50)
    times = [frame.time for frame in bench.frames]
    assert times == pytest.approx([times[0] + index for index in range(50)])
    assert bench.runtime.own.skipped == 0


@pytest.mark.parametrize(
    ("interval", "expected"),
    [(1.0, [0, 1, 2, 3, 4, 5]), (2.0, [0, 2, 4]), (2.5, [0, 2, 5]), (10.0, [0]), (0.1, range(6))],
)
def test_each_source_has_its_own_interval(interval: float, expected: Sequence[int]):
    """A source is looked at when it is due, at a tick, half a tick early rather than late."""

    async def main() -> None:
        bench = Bench()
        source = ScriptedCollector("a", value_of("x", 1.0))
        bench.runtime.add(source, Source(interval=interval, stale_after=60.0))
        begun = bench.clock.monotonic()
        await bench.ticks(6)
        assert [round(at - begun) for at in source.begun] == list(expected)

    run_virtual(main())


@virtual
async def test_a_slow_source_delays_no_other():
    """While one source takes 0.8 s, the frames have the others' values within the patience."""
    slow = ScriptedCollector("slow", value_of("s", 1.0), delay=0.8)
    bench = Bench(slow, ScriptedCollector("quick", value_of("q", 1.0)))
    begun = bench.clock.monotonic()
    (first,) = await bench.ticks(1)
    assert bench.clock.monotonic() - begun <= PATIENCE_LIMIT + 1e-6
    assert KEY % "q" in first
    assert KEY % "s" not in first
    pages = await bench.ticks(3)
    assert all(KEY % "s" in page and page['source_up{source="slow"}'] == 1.0 for page in pages)
    successes = [page['source_last_success_timestamp_seconds{source="slow"}'] for page in pages]
    assert successes == pytest.approx([frame.time - 0.2 for frame in bench.frames[1:]])
    assert len(slow.begun) == 4
    assert bench.runtime.own.skipped == 0


@pytest.mark.parametrize("interval", [5.0, 20.0, 60.0])
def test_a_tick_that_is_rare_waits_longer(interval: float):
    """What takes a tenth of a long interval, but not over 2 s, is in the frame of its tick."""

    async def main() -> None:
        delay = min(interval / 10, 2.0) - 0.01
        bench = Bench(interval=interval)
        source = ScriptedCollector("a", value_of("x", 1.0), delay=delay)
        bench.runtime.add(source, Source(interval=interval, timeout=5.0, stale_after=2 * interval))
        pages = await bench.ticks(2)
        assert [page[KEY % "x"] for page in pages] == [1.0, 1.0]
        successes = [page['source_last_success_timestamp_seconds{source="a"}'] for page in pages]
        assert successes == [frame.time for frame in bench.frames]

    run_virtual(main())


@virtual
async def test_numbers_that_waited_for_their_tick_say_how_old_they_are():
    """At a tick of 20 s, a look of 3 s is 17 s old in the next frame, and stale by that age."""
    bench = Bench(interval=20.0)
    slow = ScriptedCollector("a", value_of("x", 1.0), delay=3.0)
    bench.runtime.add(slow, Source(interval=20.0, timeout=5.0, stale_after=21.0))
    first, second = await bench.ticks(2)
    assert KEY % "x" not in first
    assert KEY % "x" in second
    success = second['source_last_success_timestamp_seconds{source="a"}']
    assert success == pytest.approx(bench.frames[1].time - 17.0)
    slow.delay = 1e9
    third, fourth = await bench.ticks(2)
    assert (KEY % "x" in third, KEY % "x" in fourth) == (True, False)


@virtual
async def test_a_slow_source_costs_the_tick_its_patience_once():
    """A source known to be slow is no longer waited for; one that is quick again is."""
    source = ScriptedCollector("a", value_of("x", 1.0), delay=0.8)
    bench = Bench(source)
    durations = [page.get("tick_duration_seconds") for page in await bench.ticks(4)]
    assert durations == [None, pytest.approx(PATIENCE_LIMIT), pytest.approx(0), pytest.approx(0)]
    source.delay = 0.01
    await bench.ticks(3)
    assert bench.runtime.own.duration == pytest.approx(0.01)


@virtual
async def test_ticks_that_were_missed_are_counted():
    """A tick that takes 2.5 intervals leaves out two ticks; the rhythm stays."""
    bench = Bench()
    blocked = [2.5]

    def block() -> Reading:
        bench.clock.block(blocked.pop() if blocked else 0.0)
        return value_of("x", 1.0)

    bench.runtime.add(ScriptedCollector("a", value_of("x", 1.0), block), QUICK)
    pages = await bench.ticks(4)
    times = [frame.time - bench.frames[0].time for frame in bench.frames]
    assert times == pytest.approx([0, 1, 4, 5])
    assert pages[-1]["ticks_skipped_total"] == 2.0
    assert pages[-1]["ticks_total"] == 3.0


@virtual
async def test_recorder_and_service_manager_hear_of_each_tick():
    """The recorder is handed time and looks before they are judged; alive comes at the end."""
    told: list[Any] = []
    bench = Bench(
        ScriptedCollector("a", value_of("x", 1.0)),
        alive=lambda frame: told.append(("alive", frame)),
        record=lambda time, now, looks: told.append(("record", time, now, looks[0].source)),
    )
    frame = await bench.runtime.tick()
    assert told == [("record", frame.time, 1000.0, "a"), ("alive", frame)]


@virtual
async def test_others_run_between_the_steps_of_a_tick_and_see_no_half_frame():
    """While rules take their steps, others run and still have the frame before."""
    seen: list[tuple[str, int]] = []

    def judge(frame: Frame) -> Steps[Frame]:
        for step in ("first", "second"):
            asyncio.get_running_loop().call_soon(lambda step=step: note(step))
            bench.clock.block(0.01)
            yield
        return frame

    def note(step: str) -> None:
        seen.append((step, len(bench.frames)))

    bench = Bench(ScriptedCollector("a", value_of("x", 1.0)), judge=judge)
    for published in range(2):
        seen.clear()
        await bench.runtime.tick()
        assert seen == [("first", published), ("second", published)]
    assert len(bench.frames) == 2


@virtual
async def test_stop_ends_the_run_within_the_pause():
    """`stop` ends the run at once, also in the middle of a pause of a minute."""
    bench = Bench(interval=60.0)
    running = asyncio.create_task(bench.runtime.run())
    await asyncio.sleep(5.0)
    bench.runtime.stop()
    begun = bench.clock.monotonic()
    await running
    assert bench.clock.monotonic() == begun
    assert len(bench.frames) == 1


@virtual
async def test_an_event_is_published_once():
    """An event of a look is in one frame alone, even while the values of that look stay."""
    event = Event(1.0, "xid", "a")
    source = ScriptedCollector("a", Reading(value_of("x", 1).ids, [1.0], [event]))
    bench = Bench()
    bench.runtime.add(source, Source(interval=10.0, stale_after=60.0))
    await bench.ticks(3)
    assert [len(frame.events) for frame in bench.frames] == [1, 0, 0]
    assert bench.log.happened == [event]


@virtual
async def test_the_clock_on_the_wall_may_jump():
    """Ticks follow the monotonic clock; the timestamp follows the wall, forth and back."""
    bench = Bench(ScriptedCollector("a", value_of("x", 1.0)))
    await bench.ticks(1)
    for step in (-3600.0, 7200.0):
        bench.clock.step(step)
        (page,) = await bench.ticks(1)
        assert page['source_last_success_timestamp_seconds{source="a"}'] == bench.frames[-1].time
        assert KEY % "x" in page
    assert bench.runtime.own.skipped == 0


@virtual
async def test_durations_are_whole_microseconds():
    """A duration is what a recording keeps of it, so that a replay tells the same."""
    looks: list[Look] = []
    bench = Bench(
        ScriptedCollector("a", value_of("x", 1.0), delay=1 / 7),
        record=lambda _time, _now, given: looks.extend(given),
    )
    await bench.runtime.tick()
    assert looks[0].duration == 0.142857


def test_the_virtual_loop_says_when_nothing_can_happen():
    """A test that waits for ever fails instead of hanging."""

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    loop = VirtualLoop()
    with pytest.raises(RuntimeError, match="will not happen"):
        loop.run_until_complete(main())
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
    loop.close()
