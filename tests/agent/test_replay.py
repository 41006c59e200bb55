"""Replay: a recording gives the frames that the live pipeline gave, at any speed."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.peaks import Peaks
from agent.catalog import agent as catalog
from agent.config.settings import Source
from agent.model import (
    EMPTY_READING,
    Event,
    Frame,
    Look,
    Reading,
    RecordingError,
    SeriesTable,
    SourceSpec,
    UnavailableError,
)
from agent.pipeline import Pipeline
from agent.recording import RecordedTick, RecordingReader, RecordingWriter
from agent.replay import Replay, ReplayClock, play, until_damage
from agent.runtime import Runtime
from tests.fakes.clock import ManualClock, run_virtual, virtual_clock
from tests.fakes.collectors import NotedExporter, NotedLog, ScriptedCollector
from tests.fakes.looks import GAUGES, lives

METRIC = GAUGES[0]


def _plain(frame: Frame) -> list[tuple[object, str]]:
    """Return the samples of a frame in their order, comparable across tables; NaN equals NaN."""
    return [
        (frame.table[number], str(float(value) + 0.0))
        for number, value in zip(frame.ids, frame.values, strict=True)
    ]


def _pipeline(table: SeriesTable) -> Pipeline:
    """Return a pipeline with an analysis."""
    return Pipeline(table, analyses=(Peaks(5.0),))


@settings(max_examples=50)
@given(st.data())
def test_a_replay_gives_the_live_frames(data: st.DataObject):
    """Any life of sources gives, recorded and replayed, exactly the frames that it gave live."""
    table = SeriesTable()
    ticks = data.draw(lives(table))
    live = _pipeline(table)
    frames: list[Frame] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r"
        writer = RecordingWriter(path, table, header={})
        known: dict[str, SourceSpec] = {}
        for tick in ticks:
            for name in tick.gone:
                live.remove_source(name)
                known.pop(name)
            for name, spec in tick.specs.items():
                if known.get(name) != spec:
                    live.add_source(spec)
                    known[name] = spec
            writer.write(tick.time, tick.looks, tick.specs, tick.gone, now=tick.now)
            frames.append(live.conclude(tick.time, tick.looks, EMPTY_READING, now=tick.now))
        writer.close()
        other = SeriesTable()
        replayed = _pipeline(other)
        again = [
            play(replayed, tick, EMPTY_READING) for tick in RecordingReader(path, other).ticks()
        ]
    assert [frame.time for frame in again] == [frame.time for frame in frames]
    assert [_plain(frame) for frame in again] == [_plain(frame) for frame in frames]
    assert [list(frame.events) for frame in again] == [list(frame.events) for frame in frames]


def test_a_recorded_run_replays(tmp_path: Path):
    """What a real runtime recorded of slow, failing and absent sources replays to its frames."""
    table = SeriesTable()
    path = tmp_path / "r"
    frames: list[Frame] = []

    async def record() -> None:
        clock = virtual_clock()
        pipeline = Pipeline(table)
        writer = RecordingWriter(path, table, header={})

        def take(time: float, now: float, looks: Sequence[Look]) -> None:
            specs = {name: health.spec for name, health in pipeline.sources.items()}
            writer.write(time, looks, specs, [], now=now)

        runtime = Runtime(pipeline, clock=clock, interval=1.0, log=NotedLog(), record=take)
        ids = [table.intern(METRIC, ["x"] * len(METRIC.labels))]
        good = Reading(ids, [1.5])
        fast = Source(stale_after=3.0)
        runtime.add(ScriptedCollector("a", good, ValueError("no"), good), fast)
        runtime.add(ScriptedCollector("slow", good, delay=1 / 3), fast)
        runtime.add(ScriptedCollector("dying", good, ValueError("no")), fast)
        runtime.add(ScriptedCollector("gone", UnavailableError("none")), fast)
        for number in range(8):
            clock.step(-3600.0 if number == 4 else 0.0)
            frames.append(await runtime.tick())
            await clock.sleep(1.0)
        writer.close()

    run_virtual(record())
    other = SeriesTable()
    pipeline = Pipeline(other)
    ticks = list(RecordingReader(path, other).ticks())
    again = [play(pipeline, tick, EMPTY_READING) for tick in ticks]
    own = {catalog.TICKS, catalog.TICKS_SKIPPED, catalog.TICK_DURATION}
    for was, now in zip(frames, again, strict=True):
        expected = [pair for pair in _plain(was) if getattr(pair[0], "metric", None) not in own]
        assert _plain(now) == expected


TICKS = [RecordedTick(1000.0 + second, []) for second in (0, 1, 2, 5)]


async def _replay(
    speed: float, *, ahead: float = 0.0
) -> tuple[ManualClock, NotedExporter, ReplayClock, Frame | None]:
    """Play the ticks at a speed and return the clocks, what was published and the last frame."""
    pace, clock, exporter = ManualClock(), ReplayClock(), NotedExporter()
    pipeline = Pipeline(SeriesTable())
    facts = {pipeline.table.intern(catalog.BUILD_INFO, ("1",)): 1.0}
    replay = Replay(
        pipeline, [exporter], clock=clock, pace=pace, speed=speed, facts=facts, ahead=ahead
    )
    return pace, exporter, clock, await replay.run(TICKS)


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 5.0), (10.0, 0.5), (0.5, 10.0), (0.0, 0.0)])
async def test_speed(speed: float, seconds: float):
    """The ticks are as far apart as recorded, divided by the speed; 0 waits not at all."""
    pace, exporter, clock, last = await _replay(speed)
    assert pace.monotonic() - 1000.0 == pytest.approx(seconds)
    assert [frame.time for frame in exporter.frames] == [tick.time for tick in TICKS]
    assert last is exporter.frames[-1]
    assert clock.time() == clock.monotonic() == 1005.0


@pytest.mark.parametrize(
    ("ahead", "speed", "seconds"),
    [(2.0, 1.0, 3.0), (1.5, 1.0, 3.5), (2.0, 3.0, 1.0), (9.0, 1.0, 0.0)],
)
async def test_what_is_ahead_is_played_at_once(ahead: float, speed: float, seconds: float):
    """No tick of it is left out, and the pace begins where it ends."""
    pace, exporter, _clock, _last = await _replay(speed, ahead=ahead)
    assert pace.monotonic() - 1000.0 == pytest.approx(seconds)
    assert [frame.time for frame in exporter.frames] == [tick.time for tick in TICKS]


async def test_the_pace_is_that_of_the_monotonic_clock():
    """Where the wall clock was set while it was recorded, the replay neither waits nor hurries."""
    pace, clock, pipeline = ManualClock(), ReplayClock(), Pipeline(SeriesTable())
    replay = Replay(pipeline, [], clock=clock, pace=pace, speed=1.0, facts={})
    ticks = [RecordedTick(1000.0, [], now=7.0), RecordedTick(4601.0, [], now=8.0)]
    await replay.run(ticks)
    assert pace.monotonic() == 1001.0
    assert (clock.time(), clock.monotonic()) == (4601.0, 8.0)


async def test_frames_carry_the_facts_and_count_the_ticks():
    """Each frame says how many ticks were played before it, and what is given to be said."""
    _pace, exporter, _clock, _last = await _replay(0.0)
    for number, frame in enumerate(exporter.frames):
        shown = {
            frame.table[each].metric: value
            for each, value in zip(frame.ids, frame.values, strict=True)
        }
        assert shown == {catalog.TICKS: float(number), catalog.BUILD_INFO: 1.0}


async def test_frames_are_judged_and_tell_more():
    """What rules make of a frame is published in its place, with what else is to be said."""
    pipeline, exporter = Pipeline(SeriesTable()), NotedExporter()
    more = pipeline.table.intern(catalog.BUILD_INFO, ("2",))
    event = Event(0.0, "alert_firing", "rules")
    replay = Replay(
        pipeline,
        [exporter],
        clock=ReplayClock(),
        pace=ManualClock(),
        speed=0.0,
        facts={},
        judge=lambda frame: replace(frame, events=(event,)),
        further=lambda: (Reading([more], [3.0]),),
    )
    await replay.run(TICKS)
    for frame in exporter.frames:
        assert list(frame.events) == [event]
        assert frame.values[frame.ids.index(more)] == 3.0


async def test_a_recording_without_ticks():
    """An empty recording has no last frame."""
    replay = Replay(
        Pipeline(SeriesTable()), [], clock=ReplayClock(), pace=ManualClock(), speed=1.0, facts={}
    )
    assert await replay.run([]) is None


async def test_the_clock_of_a_recording_does_not_pass_by_waiting():
    """Whoever sleeps on the recorded clock lets others run, and it is still the same time."""
    clock = ReplayClock()
    clock.set(time=7.0, monotonic=3.0)
    await clock.sleep(100.0)
    assert (clock.time(), clock.monotonic()) == (7.0, 3.0)


def _damaged(count: int) -> Iterator[RecordedTick]:
    """Yield some ticks, then the damage."""
    yield from TICKS[:count]
    raise RecordingError("cut off")


def test_what_stands_before_a_damage_is_played():
    """A recording without its end is played as far as it goes, with one warning."""
    told: list[str] = []
    assert list(until_damage(_damaged(2), told.append)) == TICKS[:2]
    assert told == ["cut off"]
    assert list(until_damage(TICKS, told.append)) == TICKS
    assert told == ["cut off"]


def test_a_recording_without_one_good_tick_is_refused():
    """Where nothing at all can be played, the damage is an error."""
    with pytest.raises(RecordingError, match="cut off"):
        list(until_damage(_damaged(0), pytest.fail))
