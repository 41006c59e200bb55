"""The pure middle: health of sources, precedence, staleness, and values in their places."""

from dataclasses import replace

import pytest

from agent.model import (
    EMPTY_READING,
    Event,
    Frame,
    Look,
    Reading,
    SeriesTable,
    SourceSpec,
)
from agent.pipeline import Pipeline
from tests.agent.pipelines import key_of, pipeline_of, read, series_of, shown_by


def test_one_timestamp_and_the_values_of_every_source():
    """A frame has the time of its tick and what all sources gave, under its own labels."""
    pipeline = pipeline_of("a", "b")
    looks = [read(pipeline.table, "a", x=1.0), read(pipeline.table, "b", y=2.0)]
    frame = pipeline.conclude(100.0, looks, EMPTY_READING)
    assert frame.time == 100.0
    assert shown_by(frame) == {
        key_of("x"): 1.0,
        key_of("y"): 2.0,
        'source_up{source="a"}': 1.0,
        'source_up{source="b"}': 1.0,
        'source_duration_seconds{source="a"}': 0.1,
        'source_duration_seconds{source="b"}': 0.1,
        'source_failures_total{source="a"}': 0.0,
        'source_failures_total{source="b"}': 0.0,
        'source_last_success_timestamp_seconds{source="a"}': 100.0,
        'source_last_success_timestamp_seconds{source="b"}': 100.0,
    }


def test_a_source_without_a_look_is_unknown():
    """Before the first look nothing is said of a source: unknown is absent, never zero."""
    assert shown_by(pipeline_of("a").conclude(1.0, [], EMPTY_READING)) == {}


def test_values_leave_when_they_are_stale():
    """The last values stay up to the age of stale_after, exactly, then leave; up becomes 0."""
    pipeline = pipeline_of("a", stale_after=10.0)
    pipeline.conclude(100.0, [read(pipeline.table, "a", x=1.0)], EMPTY_READING)
    at_limit = shown_by(pipeline.conclude(110.0, [], EMPTY_READING))
    assert (at_limit[key_of("x")], at_limit['source_up{source="a"}']) == (1.0, 1.0)
    beyond = shown_by(pipeline.conclude(110.5, [], EMPTY_READING))
    assert key_of("x") not in beyond
    assert beyond['source_up{source="a"}'] == 0.0
    assert beyond['source_last_success_timestamp_seconds{source="a"}'] == 100.0


def test_a_failing_source_is_down_at_once_and_its_values_stay_a_while():
    """A failure says so in the same tick and is counted; what was read before is still shown."""
    pipeline = pipeline_of("a")
    pipeline.conclude(100.0, [read(pipeline.table, "a", x=1.0)], EMPTY_READING)
    failed = Look(source="a", duration=2.0, error="no route")
    for time in (101.0, 102.0):
        shown = shown_by(pipeline.conclude(time, [failed], EMPTY_READING))
    assert shown == {
        key_of("x"): 1.0,
        'source_up{source="a"}': 0.0,
        'source_duration_seconds{source="a"}': 2.0,
        'source_failures_total{source="a"}': 2.0,
        'source_last_success_timestamp_seconds{source="a"}': 100.0,
    }


def test_a_series_that_was_forgotten_is_left_out():
    """A reading that names what is no longer known costs that value, not the page."""
    pipeline = pipeline_of("a")
    look = read(pipeline.table, "a", x=1.0, y=2.0, z=3.0)
    assert look.reading is not None
    pipeline.table.forget([look.reading.ids[1]])
    shown = shown_by(pipeline.conclude(1.0, [look], EMPTY_READING))
    assert (shown[key_of("x")], shown[key_of("z")]) == (1.0, 3.0)
    assert key_of("y") not in shown


def test_the_series_of_sources_are_those_that_may_be_given_again():
    """What was read last is named also where it is stale, and so is what is said of the source."""
    pipeline = pipeline_of("a", stale_after=1.0)
    up = series_of(pipeline.table, "up")
    pipeline.add_source(SourceSpec(name="a", stale_after=1.0, up_id=up))
    look = read(pipeline.table, "a", x=1.0)
    frame = pipeline.conclude(1.0, [look], EMPTY_READING)
    facts = Reading([series_of(pipeline.table, "fact")], [1.0])
    failed = Look(source="a", duration=0.0, error="no", facts=facts)
    pipeline.conclude(100.0, [failed], EMPTY_READING)
    assert {*frame.ids, *facts.ids, up} <= pipeline.series()
    pipeline.remove_source("a")
    assert pipeline.series() == set()


def test_a_frame_says_why_sources_fail():
    """The reason of each source that is broken now, as long as it is; absence is no failure."""
    pipeline = pipeline_of("a", "b", "c")
    looks = [
        Look(source="a", duration=0.1, error="refused"),
        Look(source="b", duration=0.1, error="no driver", unavailable=True),
        read(pipeline.table, "c", x=1.0),
    ]
    assert pipeline.conclude(100.0, looks, EMPTY_READING).failures == {"a": "refused"}
    assert pipeline.conclude(101.0, [], EMPTY_READING).failures == {"a": "refused"}
    back = [read(pipeline.table, "a", x=1.0)]
    assert pipeline.conclude(102.0, back, EMPTY_READING).failures == {}


def test_what_a_failure_tells_is_newer_than_what_was_read():
    """A failure's facts stand against the same series of the last reading, and end with it."""
    pipeline = pipeline_of("a")
    pipeline.conclude(100.0, [read(pipeline.table, "a", x=0.0, y=5.0)], EMPTY_READING)
    facts = Reading([series_of(pipeline.table, "x")], [1.0])
    failed = Look(source="a", duration=2.0, error="upgraded", facts=facts)
    shown = shown_by(pipeline.conclude(101.0, [failed], EMPTY_READING))
    assert (shown[key_of("x")], shown[key_of("y")]) == (1.0, 5.0)
    later = shown_by(pipeline.conclude(200.0, [], EMPTY_READING))
    assert later[key_of("x")] == 1.0
    assert key_of("y") not in later
    other = Look(source="a", duration=2.0, error="hangs")
    assert key_of("x") not in shown_by(pipeline.conclude(201.0, [other], EMPTY_READING))


def test_an_unavailable_source_takes_its_values_along():
    """What is not on this host has no values and no up, only the fact that it is not there."""
    pipeline = pipeline_of("a")
    pipeline.conclude(100.0, [read(pipeline.table, "a", x=1.0)], EMPTY_READING)
    absent = Look(source="a", duration=0.1, error="no driver", unavailable=True)
    assert shown_by(pipeline.conclude(101.0, [absent], EMPTY_READING)) == {
        'source_unavailable{source="a"}': 1.0,
        'source_duration_seconds{source="a"}': 0.1,
        'source_failures_total{source="a"}': 0.0,
    }
    back = shown_by(pipeline.conclude(102.0, [read(pipeline.table, "a", x=2.0)], EMPTY_READING))
    assert (back[key_of("x")], back['source_up{source="a"}']) == (2.0, 1.0)
    assert 'source_unavailable{source="a"}' not in back


def test_up_series_of_its_own():
    """A source with a further up series has the same value there, also while it fails."""
    pipeline = Pipeline(SeriesTable())
    up = series_of(pipeline.table, "up")
    pipeline.add_source(SourceSpec(name="a", stale_after=10.0, up_id=up))
    first = pipeline.conclude(1.0, [read(pipeline.table, "a", x=1.0)], EMPTY_READING)
    assert shown_by(first)[key_of("up")] == 1.0
    failed = Look(source="a", duration=1.0, error="gone")
    assert shown_by(pipeline.conclude(2.0, [failed], EMPTY_READING))[key_of("up")] == 0.0


def test_first_source_wins():
    """Where two sources give one series the page has one, of the source that was added first."""
    pipeline = pipeline_of("a", "b")
    looks = [read(pipeline.table, "b", x=2.0, y=3.0), read(pipeline.table, "a", x=1.0)]
    shown = shown_by(pipeline.conclude(1.0, looks, EMPTY_READING))
    assert (shown[key_of("x")], shown[key_of("y")]) == (1.0, 3.0)


def test_the_lower_precedence_wins_whoever_comes_first():
    """Precedence decides over the order of arrival, also when it is given later."""
    pipeline = Pipeline(SeriesTable())
    pipeline.add_source(SourceSpec(name="dcgm", stale_after=10.0, precedence=1))
    pipeline.add_source(SourceSpec(name="nvml", stale_after=10.0))
    looks = [read(pipeline.table, "dcgm", x=2.0), read(pipeline.table, "nvml", x=1.0)]
    assert shown_by(pipeline.conclude(1.0, looks, EMPTY_READING))[key_of("x")] == 1.0
    pipeline.add_source(SourceSpec(name="dcgm", stale_after=10.0, precedence=-1))
    assert shown_by(pipeline.conclude(2.0, [], EMPTY_READING))[key_of("x")] == 2.0


def test_the_next_source_takes_over_when_the_first_is_stale():
    """A series that its first source no longer gives is taken from the second."""
    pipeline = pipeline_of("a", "b", stale_after=5.0)
    pipeline.conclude(1.0, [read(pipeline.table, "a", x=1.0)], EMPTY_READING)
    for time, expected in ((6.0, 1.0), (6.5, 2.0)):
        looks = [read(pipeline.table, "b", x=2.0)]
        assert shown_by(pipeline.conclude(time, looks, EMPTY_READING))[key_of("x")] == expected


def test_a_replaced_source_keeps_its_place_and_its_past():
    """New terms for a known source leave its precedence, its values and its counts alone."""
    pipeline = pipeline_of("a", "b")
    pipeline.conclude(1.0, [Look(source="a", duration=1.0, error="gone")], EMPTY_READING)
    pipeline.conclude(2.0, [read(pipeline.table, "a", x=1.0)], EMPTY_READING)
    pipeline.add_source(SourceSpec(name="a", stale_after=2.0))
    shown = shown_by(pipeline.conclude(4.0, [read(pipeline.table, "b", x=2.0)], EMPTY_READING))
    assert shown[key_of("x")] == 1.0
    assert shown['source_failures_total{source="a"}'] == 1.0
    assert shown_by(pipeline.conclude(4.5, [], EMPTY_READING))[key_of("x")] == 2.0


def test_a_removed_source_is_forgotten():
    """A source that was removed leaves the page with all it said, and late looks are dropped."""
    pipeline = pipeline_of("a")
    look = read(pipeline.table, "a", x=1.0)
    pipeline.conclude(1.0, [look], EMPTY_READING)
    pipeline.remove_source("a")
    pipeline.remove_source("a")
    assert shown_by(pipeline.conclude(2.0, [look], EMPTY_READING)) == {}
    assert not pipeline.sources


def test_a_clock_set_back_does_not_keep_the_values_of_the_dead():
    """When the host's clock goes back an hour, a dead source is stale after the usual time."""
    pipeline = pipeline_of("a", stale_after=10.0)
    pipeline.conclude(5000.0, [read(pipeline.table, "a", x=1.0)], EMPTY_READING)
    shown = shown_by(pipeline.conclude(1400.0, [], EMPTY_READING))
    assert shown['source_last_success_timestamp_seconds{source="a"}'] == 1400.0
    assert key_of("x") in shown
    assert key_of("x") not in shown_by(pipeline.conclude(1411.0, [], EMPTY_READING))


def test_a_look_that_ended_before_the_tick_is_as_old_as_it_is():
    """A look that waited 19 s for its tick has the time at which it ended, and its age from it."""
    pipeline = pipeline_of("a", stale_after=30.0)
    look = replace(read(pipeline.table, "a", x=1.0), age=19.0)
    shown = shown_by(pipeline.conclude(1000.0, [look], EMPTY_READING, now=50.0))
    assert shown['source_last_success_timestamp_seconds{source="a"}'] == 981.0
    assert key_of("x") in shown_by(pipeline.conclude(1011.0, [], EMPTY_READING, now=61.0))
    assert key_of("x") not in shown_by(pipeline.conclude(1011.5, [], EMPTY_READING, now=61.5))


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_step_of_the_wall_clock_makes_nothing_older_or_younger(step: float):
    """NTP may set the clock: values stay and leave by the time that passed, and no other."""
    pipeline = pipeline_of("a", stale_after=10.0)
    pipeline.conclude(5000.0, [read(pipeline.table, "a", x=1.0)], EMPTY_READING, now=50.0)
    shown = shown_by(pipeline.conclude(5005.0 + step, [], EMPTY_READING, now=55.0))
    assert (key_of("x") in shown, shown['source_up{source="a"}']) == (True, 1.0)
    assert shown['source_last_success_timestamp_seconds{source="a"}'] == 5000.0 + step
    assert key_of("x") in shown_by(pipeline.conclude(5010.0 + step, [], EMPTY_READING, now=60.0))
    assert key_of("x") not in shown_by(
        pipeline.conclude(5011.0 + step, [], EMPTY_READING, now=61.0)
    )


def test_the_time_of_a_success_stands_still():
    """While the clock is merely slewed, a dead source keeps one time of its last success."""
    pipeline = pipeline_of("a")
    pipeline.conclude(5000.0, [read(pipeline.table, "a", x=1.0)], EMPTY_READING, now=50.0)
    shown = shown_by(pipeline.conclude(5001.0005, [], EMPTY_READING, now=51.0))
    assert shown['source_last_success_timestamp_seconds{source="a"}'] == 5000.0


def test_events_are_handed_on_once_and_counted():
    """An event is in the frame of its tick alone; its kind is counted from then on."""
    pipeline = pipeline_of("a")
    xid = Event(1.0, "xid", "a", {"gpu": "0"}, "fell off the bus")
    own = Event(1.0, "reload", "agent")
    look = Look(source="a", duration=0.1, reading=Reading([], [], [xid, xid]))
    first = pipeline.conclude(1.0, [look], Reading([], [], [own]))
    assert list(first.events) == [xid, xid, own]
    second = pipeline.conclude(2.0, [], EMPTY_READING)
    assert list(second.events) == []
    assert shown_by(second)['events_total{kind="xid"}'] == 2.0
    assert shown_by(second)['events_total{kind="reload"}'] == 1.0


class _Doubling:
    """An analysis: says an event, and gives twice the sum as a series."""

    def observe(self, frame: Frame) -> Reading:
        """Conclude."""
        event = Event(frame.time, "summed", "analysis")
        return Reading([series_of(frame.table, "sum")], [2 * sum(frame.values[:1])], [event])


def test_conclusions_join_the_frame():
    """What an analysis concludes stands beside what was read; it sees the samples of its tick."""
    pipeline = Pipeline(SeriesTable(), analyses=(_Doubling(),))
    pipeline.add_source(SourceSpec(name="a", stale_after=10.0))
    frame = pipeline.conclude(3.0, [read(pipeline.table, "a", x=4.0)], EMPTY_READING)
    shown = shown_by(frame)
    assert (shown[key_of("x")], shown[key_of("sum")]) == (4.0, 8.0)
    assert shown['events_total{kind="summed"}'] == 1.0
    assert [event.kind for event in frame.events] == ["summed"]


class _Told:
    """Knows what `x` is, and that there is `y`."""

    def __init__(self) -> None:
        self.broken = False

    def observe(self, frame: Frame) -> Reading:
        """Say it, with an event."""
        if self.broken:
            raise ValueError(frame.time)
        ids = [series_of(frame.table, name) for name in ("x", "y")]
        return Reading(ids, [5.0, 6.0], [Event(frame.time, "told", "analysis")])


def test_what_is_told_counts_before_what_was_read():
    """Analyses and the frame have the told values, others stand as they were read."""
    pipeline = Pipeline(SeriesTable(), analyses=(_Doubling(),), told=_Told())
    pipeline.add_source(SourceSpec(name="a", stale_after=10.0))
    frame = pipeline.conclude(3.0, [read(pipeline.table, "a", x=4.0, z=7.0)], EMPTY_READING)
    shown = shown_by(frame)
    assert [shown[key_of(name)] for name in ("x", "y", "z", "sum")] == [5.0, 6.0, 7.0, 10.0]
    assert [event.kind for event in frame.events] == ["told", "summed"]
    assert shown['events_total{kind="told"}'] == 1.0
    again = pipeline.conclude(4.0, [read(pipeline.table, "a", x=4.0, z=7.0)], EMPTY_READING)
    assert again.ids is frame.ids


def test_what_cannot_be_told_leaves_what_was_read():
    """Where it raises the frame is as it was read, and says so."""
    told = _Told()
    told.broken = True
    pipeline = Pipeline(SeriesTable(), analyses=(_Doubling(),), told=told)
    pipeline.add_source(SourceSpec(name="a", stale_after=10.0))
    frame = pipeline.conclude(3.0, [read(pipeline.table, "a", x=4.0)], EMPTY_READING)
    assert shown_by(frame)[key_of("sum")] == 8.0
    assert [event.kind for event in frame.events] == ["summed", "analysis_failed"]


class _Breaking:
    """An analysis that raises while it is told to."""

    def __init__(self) -> None:
        self.broken = True

    def observe(self, frame: Frame) -> Reading:
        """Raise, or conclude."""
        if self.broken:
            raise ZeroDivisionError(f"at {frame.time}")
        return Reading([series_of(frame.table, "whole")], [1.0])


def test_an_analysis_that_raises_costs_no_other_and_no_tick():
    """It is left out of the tick, told once for each change of state, and counted every time."""
    breaking = _Breaking()
    pipeline = Pipeline(SeriesTable(), analyses=(breaking, _Doubling()))
    pipeline.add_source(SourceSpec(name="a", stale_after=10.0))
    look = read(pipeline.table, "a", x=4.0)
    frames = [pipeline.conclude(3.0, [look], EMPTY_READING)]
    frames += [pipeline.conclude(time, [], EMPTY_READING) for time in (4.0, 5.0)]
    breaking.broken = False
    frames += [pipeline.conclude(time, [], EMPTY_READING) for time in (6.0, 7.0)]
    assert [shown_by(frame)[key_of("sum")] for frame in frames] == [8.0] * 5
    assert [key_of("whole") in shown_by(frame) for frame in frames] == [False] * 3 + [True] * 2
    kinds = [[event.kind for event in frame.events] for frame in frames]
    assert kinds == [
        ["summed", "analysis_failed"],
        ["summed"],
        ["summed"],
        ["summed", "analysis_recovered"],
        ["summed"],
    ]
    told = frames[0].events[1]
    assert told.labels == {"analysis": "_Breaking"}
    assert "ZeroDivisionError: at 3.0 (test_pipeline.py:" in told.message
    counted = 'analysis_failures_total{analysis="_Breaking"}'
    assert [shown_by(frame)[counted] for frame in frames] == [1.0, 2.0, 3.0, 3.0, 3.0]


def test_the_layout_is_kept_while_it_stands():
    """Frames of the same series share their list of ids, so that others can keep what they made."""
    pipeline = pipeline_of("a", "b")
    table = pipeline.table
    first, second, third = (
        pipeline.conclude(time, [read(table, "a", x=time), read(table, "b", y=1.0)], EMPTY_READING)
        for time in (1.0, 2.0, 3.0)
    )
    assert first.ids is second.ids is third.ids
    assert shown_by(third)[key_of("x")] == 3.0
    other = pipeline.conclude(4.0, [read(table, "a", z=1.0)], EMPTY_READING)
    assert other.ids is not third.ids
