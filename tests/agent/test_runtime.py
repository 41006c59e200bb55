"""The tick: nothing that one source does reaches another, the tick or the page.

All of it runs in virtual time: a timeout of seconds costs none.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agent.catalog import PEAKS
from agent.config.settings import Source
from agent.model import (
    Collector,
    Event,
    Frame,
    Look,
    Reading,
    SeriesTable,
    SourceError,
    UnavailableError,
)
from agent.pipeline import Pipeline
from agent.runtime import CLOSE_LIMIT, PATIENCE_LIMIT, Runtime
from agent.steps import Steps
from tests.fakes.clock import LoopClock, VirtualLoop, run_virtual, virtual_clock
from tests.fakes.collectors import (
    HangingCollector,
    NotedExporter,
    NotedLog,
    ScriptedCollector,
    UncancellableCollector,
    UnclosableCollector,
)
from tests.fakes.samples import samples

METRIC = next(metric for metric in PEAKS if metric.labels)
TABLE = SeriesTable()
KEY = f'{METRIC.name.removeprefix("inferwatch_")}{{{METRIC.labels[0]}="%s"}}'
QUICK = Source(interval=1.0, timeout=1.0, stale_after=3.0)


def _value(name: str, value: float) -> Reading:
    """Return a reading of one series."""
    return Reading([TABLE.intern(METRIC, (name, *[""] * (len(METRIC.labels) - 1)))], [value])


class _Bench:
    """A runtime on a virtual clock with everything that it tells noted."""

    def __init__(self, *collectors: Collector, interval: float = 1.0, **given: Any) -> None:
        self.clock: LoopClock = virtual_clock()
        self.log = NotedLog()
        self.exporter = NotedExporter()
        self.runtime = Runtime(
            Pipeline(TABLE), clock=self.clock, interval=interval, log=self.log, **given
        )
        self.runtime.exporters.append(self.exporter)
        self._running: asyncio.Task[None] | None = None
        for collector in collectors:
            self.runtime.add(collector, QUICK)

    @property
    def frames(self) -> list[Frame]:
        """What was published."""
        return self.exporter.frames

    async def ticks(self, count: int) -> list[dict[str, float]]:
        """Run on for so many ticks and return what the frames of these showed."""
        before = len(self.frames)
        if self._running is None:
            self._running = asyncio.create_task(self.runtime.run())
        while len(self.frames) < before + count:
            self.exporter.published.clear()
            await self.exporter.published.wait()
        return [samples(frame.table, frame) for frame in self.frames[before:]]


def _virtual(test: Callable[[], Any]) -> Callable[[], None]:
    """Run a test in virtual time."""

    def run() -> None:
        run_virtual(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@_virtual
async def test_a_tick_looks_concludes_and_publishes():
    """A frame has the values read in its tick, one timestamp, and goes to every exporter."""
    bench = _Bench(ScriptedCollector("a", _value("x", 1.0)), ScriptedCollector("b", _value("y", 2)))
    now = bench.clock.time()
    frame = await bench.runtime.tick()
    shown = samples(TABLE, frame)
    assert (shown[KEY % "x"], shown[KEY % "y"]) == (1.0, 2.0)
    assert frame.time == now
    assert bench.frames == [frame]
    assert bench.log.exporters == [("noted", "")]


@_virtual
async def test_ticks_keep_their_rhythm():
    """Ticks are an interval apart however long each of them took, without drift."""
    bench = _Bench(ScriptedCollector("a", _value("x", 1.0), delay=0.2))
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
        bench = _Bench()
        source = ScriptedCollector("a", _value("x", 1.0))
        bench.runtime.add(source, Source(interval=interval, stale_after=60.0))
        begun = bench.clock.monotonic()
        await bench.ticks(6)
        assert [round(at - begun) for at in source.begun] == list(expected)

    run_virtual(main())


@_virtual
async def test_a_slow_source_delays_no_other():
    """While one source takes 0.8 s, the frames have the others' values within the patience."""
    slow = ScriptedCollector("slow", _value("s", 1.0), delay=0.8)
    bench = _Bench(slow, ScriptedCollector("quick", _value("q", 1.0)))
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
        bench = _Bench(interval=interval)
        source = ScriptedCollector("a", _value("x", 1.0), delay=delay)
        bench.runtime.add(source, Source(interval=interval, timeout=5.0, stale_after=2 * interval))
        pages = await bench.ticks(2)
        assert [page[KEY % "x"] for page in pages] == [1.0, 1.0]
        successes = [page['source_last_success_timestamp_seconds{source="a"}'] for page in pages]
        assert successes == [frame.time for frame in bench.frames]

    run_virtual(main())


@_virtual
async def test_numbers_that_waited_for_their_tick_say_how_old_they_are():
    """At a tick of 20 s, a look of 3 s is 17 s old in the next frame, and stale by that age."""
    bench = _Bench(interval=20.0)
    slow = ScriptedCollector("a", _value("x", 1.0), delay=3.0)
    bench.runtime.add(slow, Source(interval=20.0, timeout=5.0, stale_after=21.0))
    first, second = await bench.ticks(2)
    assert KEY % "x" not in first
    assert KEY % "x" in second
    success = second['source_last_success_timestamp_seconds{source="a"}']
    assert success == pytest.approx(bench.frames[1].time - 17.0)
    slow.delay = 1e9
    third, fourth = await bench.ticks(2)
    assert (KEY % "x" in third, KEY % "x" in fourth) == (True, False)


@_virtual
async def test_a_slow_source_costs_the_tick_its_patience_once():
    """A source known to be slow is no longer waited for; one that is quick again is."""
    source = ScriptedCollector("a", _value("x", 1.0), delay=0.8)
    bench = _Bench(source)
    durations = [page.get("tick_duration_seconds") for page in await bench.ticks(4)]
    assert durations == [None, pytest.approx(PATIENCE_LIMIT), pytest.approx(0), pytest.approx(0)]
    source.delay = 0.01
    await bench.ticks(3)
    assert bench.runtime.own.duration == pytest.approx(0.01)


@_virtual
async def test_a_hung_source_is_down_after_its_timeout_and_its_values_leave():
    """A look without answer fails at its timeout; what was read before leaves when it is stale."""
    source = ScriptedCollector("a", _value("x", 1.0))
    bench = _Bench(source, ScriptedCollector("b", _value("y", 1.0)))
    await bench.ticks(2)
    source.delay = 1e9
    pages = await bench.ticks(8)
    up = [page['source_up{source="a"}'] for page in pages]
    assert up == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert [KEY % "x" in page for page in pages] == [True, True, True, *[False] * 5]
    assert all(KEY % "y" in page for page in pages)
    assert set(bench.log.errors("a")) == {"gave no answer within 1s"}
    assert pages[-1]['source_duration_seconds{source="a"}'] == pytest.approx(1.0)
    source.delay = 0.0
    assert (await bench.ticks(3))[-1]['source_up{source="a"}'] == 1.0


@_virtual
async def test_a_source_that_cannot_be_cancelled_is_down_from_its_first_look():
    """A source that resists its cancellation is down and counted once, and is left alone."""
    source = UncancellableCollector("a", _value("x", 1.0))
    bench = _Bench(source, ScriptedCollector("b", _value("y", 1.0)))
    pages = await bench.ticks(6)
    assert [page.get('source_up{source="a"}') for page in pages] == [None, None, 0, 0, 0, 0]
    assert pages[-1]['source_failures_total{source="a"}'] == 1.0
    assert all(KEY % "y" in page for page in pages)
    assert source.most_running == 1
    assert bench.log.errors("a") == ["gave no answer within 1s and cannot be interrupted"]
    source.release()
    pages = await bench.ticks(3)
    assert pages[-1]['source_up{source="a"}'] == 1.0
    assert KEY % "x" in pages[-1]


@_virtual
async def test_closing_does_not_wait_for_a_source_that_cannot_be_cancelled():
    """The end is bounded whatever a source does, and every other source is closed."""
    source, other = (
        UncancellableCollector("a", _value("x", 1.0)),
        ScriptedCollector("b", _value("y", 1)),
    )
    bench = _Bench(source, other)
    await bench.ticks(1)
    begun = bench.clock.monotonic()
    await bench.runtime.aclose()
    assert bench.clock.monotonic() - begun <= 3 * CLOSE_LIMIT
    assert (source.closed, other.closed, bench.exporter.closed) == (1, 1, 1)
    source.release()


@_virtual
async def test_removing_a_source_that_is_known_to_hang_waits_for_nothing():
    """A reload that drops a hung source is not held up by it."""
    source = UncancellableCollector("a", _value("x", 1.0))
    bench = _Bench(source)
    await bench.ticks(4)
    begun = bench.clock.monotonic()
    await bench.runtime.remove("a")
    assert bench.clock.monotonic() == begun
    assert source.closed == 1
    source.release()


ERRORS: list[tuple[BaseException, str]] = [
    (ConnectionError("refused"), "refused"),
    (ValueError(), "ValueError"),
    (TimeoutError("the server said so"), "the server said so"),
    (ExceptionGroup("several", [ValueError("one")]), "several (1 sub-exception)"),
    (asyncio.CancelledError(), "was cancelled by something that it waited for"),
]


@pytest.mark.parametrize(("problem", "told"), ERRORS)
def test_whatever_a_source_raises_becomes_a_fact(problem: BaseException, told: str):
    """Any error of a source is a failed look, is told, and harms no other source."""

    async def main() -> None:
        bench = _Bench(ScriptedCollector("a", problem), ScriptedCollector("b", _value("y", 1.0)))
        pages = await bench.ticks(2)
        assert pages[-1]['source_up{source="a"}'] == 0.0
        assert pages[-1]['source_failures_total{source="a"}'] == 2.0
        assert pages[-1]['source_up{source="b"}'] == 1.0
        assert bench.log.errors("a") == [told, told]

    run_virtual(main())


@_virtual
async def test_a_failure_may_tell_something():
    """What an error of a source tells is shown beside its being down, until it works again."""
    why = SourceError("upgraded", facts=_value("mismatch", 1.0))
    bench = _Bench(ScriptedCollector("a", why, _value("x", 1.0)))
    first, second = await bench.ticks(2)
    assert (first[KEY % "mismatch"], first['source_up{source="a"}']) == (1.0, 0.0)
    assert KEY % "mismatch" not in second
    assert bench.log.errors("a") == ["upgraded"]


@_virtual
async def test_a_reading_that_is_not_parallel_is_refused():
    """Fewer values than series would shift everyone's values: it counts as a failure."""
    bad = Reading([*_value("x", 1).ids, *_value("z", 1).ids], [1.0])
    bench = _Bench(ScriptedCollector("a", bad), ScriptedCollector("b", _value("y", 5.0)))
    (page,) = await bench.ticks(1)
    assert page[KEY % "y"] == 5.0
    assert page['source_up{source="a"}'] == 0.0
    assert bench.log.errors("a") == ["gave 2 series and 1 values"]


@_virtual
async def test_what_is_not_on_this_host_is_looked_for_rarely():
    """An unavailable source is tried again every 15 s, and counts as no failure."""
    source = ScriptedCollector("a", UnavailableError("no driver"), _value("x", 1.0))
    bench = _Bench(source)
    pages = await bench.ticks(16)
    assert len(source.begun) == 2
    assert source.begun[1] - source.begun[0] == pytest.approx(15.0)
    assert pages[0]['source_unavailable{source="a"}'] == 1.0
    assert pages[14]['source_failures_total{source="a"}'] == 0.0
    assert pages[15]['source_up{source="a"}'] == 1.0


@_virtual
async def test_ticks_that_were_missed_are_counted():
    """A tick that takes 2.5 intervals leaves out two ticks; the rhythm stays."""
    bench = _Bench()
    blocked = [2.5]

    def block() -> Reading:
        bench.clock.block(blocked.pop() if blocked else 0.0)
        return _value("x", 1.0)

    bench.runtime.add(ScriptedCollector("a", _value("x", 1.0), block), QUICK)
    pages = await bench.ticks(4)
    times = [frame.time - bench.frames[0].time for frame in bench.frames]
    assert times == pytest.approx([0, 1, 4, 5])
    assert pages[-1]["ticks_skipped_total"] == 2.0
    assert pages[-1]["ticks_total"] == 3.0


@_virtual
async def test_a_broken_exporter_harms_no_other():
    """An exporter that raises is told to the log; the others have every frame."""
    bench = _Bench()
    bench.runtime.exporters.insert(0, NotedExporter("broken", RuntimeError("full")))
    await bench.ticks(2)
    assert bench.log.exporters == [("broken", "full"), ("noted", "")] * 2


@_virtual
async def test_recorder_and_service_manager_hear_of_each_tick():
    """The recorder is handed time and looks before they are judged; alive comes at the end."""
    told: list[Any] = []
    bench = _Bench(
        ScriptedCollector("a", _value("x", 1.0)),
        alive=lambda frame: told.append(("alive", frame)),
        record=lambda time, now, looks: told.append(("record", time, now, looks[0].source)),
    )
    frame = await bench.runtime.tick()
    assert told == [("record", frame.time, 1000.0, "a"), ("alive", frame)]


@_virtual
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

    bench = _Bench(ScriptedCollector("a", _value("x", 1.0)), judge=judge)
    for published in range(2):
        seen.clear()
        await bench.runtime.tick()
        assert seen == [("first", published), ("second", published)]
    assert len(bench.frames) == 2


@pytest.mark.parametrize("timeout", [0.1, PATIENCE_LIMIT, 0.7])
@pytest.mark.parametrize("interval", [1.0, 20.0])
def test_a_look_ends_at_its_timeout(timeout: float, interval: float):
    """Whether a tick waits for a look or not, it is cancelled at the moment of its timeout."""

    async def main() -> None:
        bench = _Bench(interval=interval)
        settings = Source(interval=interval, timeout=timeout, stale_after=60.0)
        bench.runtime.add(HangingCollector("a", _value("x", 1.0)), settings)
        bench.runtime.add(ScriptedCollector("b", _value("y", 1.0)), settings)
        await bench.ticks(4)
        looks = [look for name, look in bench.log.sources if name == "a"]
        assert len(looks) >= 3
        assert [look.duration for look in looks] == pytest.approx([timeout] * len(looks))
        assert {look.error for look in looks} == {f"gave no answer within {timeout:g}s"}

    run_virtual(main())


@_virtual
async def test_stop_ends_the_run_within_the_pause():
    """`stop` ends the run at once, also in the middle of a pause of a minute."""
    bench = _Bench(interval=60.0)
    running = asyncio.create_task(bench.runtime.run())
    await asyncio.sleep(5.0)
    bench.runtime.stop()
    begun = bench.clock.monotonic()
    await running
    assert bench.clock.monotonic() == begun
    assert len(bench.frames) == 1


@_virtual
async def test_other_settings_for_the_same_source_keep_it_going():
    """A reload with the same collector closes nothing, loses no value and starts no second look."""
    source = UncancellableCollector("a", _value("x", 1.0))
    bench = _Bench(source)
    await bench.ticks(1)
    bench.runtime.add(source, Source(interval=2.0, timeout=1.0, stale_after=9.0))
    await bench.ticks(2)
    assert (source.closed, source.most_running) == (0, 1)
    source.release()
    pages = await bench.ticks(2)
    assert KEY % "x" in pages[-1]
    assert bench.runtime.pipeline.sources["a"].spec.stale_after == 9.0


@_virtual
async def test_a_replacement_takes_the_place_of_the_old_source():
    """A new collector of the same name wins where the old one won; the old one is closed."""
    first, later = (
        ScriptedCollector("a", _value("x", 1.0)),
        ScriptedCollector("b", _value("x", 2.0)),
    )
    bench = _Bench(first, later)
    await bench.ticks(1)
    bench.runtime.add(ScriptedCollector("a", _value("x", 3.0), delay=0.7), QUICK)
    pages = await bench.ticks(3)
    assert [page[KEY % "x"] for page in pages] == [1.0, 3.0, 3.0]
    assert first.closed == 1


@_virtual
async def test_removing_a_source_cancels_closes_and_forgets_it():
    """A removed source ends its look, is closed, and is gone from the next frame."""
    source = HangingCollector("a", _value("x", 1.0))
    bench = _Bench(source)
    await bench.ticks(2)
    await bench.runtime.remove("a")
    await bench.runtime.remove("a")
    assert (source.running, source.closed) == (0, 1)
    (page,) = await bench.ticks(1)
    assert not [key for key in page if '"a"' in key]


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (RuntimeError("busy"), "cannot be closed: busy"),
        (
            asyncio.CancelledError(),
            "cannot be closed: was cancelled by something that it waited for",
        ),
        (None, f"cannot be closed within {CLOSE_LIMIT:g}s"),
    ],
)
def test_a_source_that_cannot_be_closed(problem: BaseException | None, told: str):
    """Closing is bounded and its failure is told; the other sources and exporters are closed."""

    async def main() -> None:
        source = UnclosableCollector("a", _value("x", 1.0), problem=problem)
        other = ScriptedCollector("b", _value("y", 1.0))
        bench = _Bench(source, other)
        broken = NotedExporter("broken", RuntimeError("full"))
        bench.runtime.exporters.insert(0, broken)
        await bench.ticks(1)
        await bench.runtime.aclose()
        await bench.runtime.aclose()
        assert (source.closed, other.closed, broken.closed, bench.exporter.closed) == (1, 1, 1, 1)
        assert bench.log.errors("a") == [told]
        assert bench.log.exporters[-1] == ("broken", "cannot be closed: full")

    run_virtual(main())


@_virtual
async def test_an_event_is_published_once():
    """An event of a look is in one frame alone, even while the values of that look stay."""
    event = Event(1.0, "xid", "a")
    source = ScriptedCollector("a", Reading(_value("x", 1).ids, [1.0], [event]))
    bench = _Bench()
    bench.runtime.add(source, Source(interval=10.0, stale_after=60.0))
    await bench.ticks(3)
    assert [len(frame.events) for frame in bench.frames] == [1, 0, 0]
    assert bench.log.happened == [event]


@_virtual
async def test_the_clock_on_the_wall_may_jump():
    """Ticks follow the monotonic clock; the timestamp follows the wall, forth and back."""
    bench = _Bench(ScriptedCollector("a", _value("x", 1.0)))
    await bench.ticks(1)
    for step in (-3600.0, 7200.0):
        bench.clock.step(step)
        (page,) = await bench.ticks(1)
        assert page['source_last_success_timestamp_seconds{source="a"}'] == bench.frames[-1].time
        assert KEY % "x" in page
    assert bench.runtime.own.skipped == 0


@_virtual
async def test_durations_are_whole_microseconds():
    """A duration is what a recording keeps of it, so that a replay tells the same."""
    looks: list[Look] = []
    bench = _Bench(
        ScriptedCollector("a", _value("x", 1.0), delay=1 / 7),
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
