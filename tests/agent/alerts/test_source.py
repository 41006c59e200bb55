"""The history within one tick."""

from collections.abc import Sequence

from agent.alerts.source import OneTick
from agent.model import Metric, MetricType, SeriesTable
from agent.store.series import STALE, Labels, Matcher, MatchOp, SeriesSamples

LABELS = (("__name__", "a:x"),)
NAMED = (Matcher("__name__", MatchOp.EQUAL, "a:x"),)
OTHER = (Matcher("__name__", MatchOp.EQUAL, "v"),)
PATTERN = (Matcher("__name__", MatchOp.REGEX, "a:.*"),)


class Counting:
    """A history that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.samples = [SeriesSamples(LABELS, [5.0], [1.0])]

    def select(
        self, matchers: Sequence[Matcher], start: float, end: float
    ) -> Sequence[SeriesSamples]:
        """Return the one series there is."""
        del start, end
        self.asked += 1
        return [one for one in self.samples if matchers[0].matches(dict(one.labels)["__name__"])]

    def latest(
        self, matchers: Sequence[Matcher], start: float, end: float
    ) -> Sequence[tuple[Labels, float, float]]:
        """Return its newest sample."""
        found = self.select(matchers, start, end)
        return [(one.labels, one.times[-1], one.values[-1]) for one in found]

    def recent(self) -> None:
        """There is no such thing."""

    def record(self, time: float, ids: Sequence[int], values: Sequence[float]) -> None:
        """Add to it."""
        del ids
        self.samples = [SeriesSamples(LABELS, [5.0, time], [1.0, *values])]


def test_the_same_question_is_asked_once():
    """Two rules that want the same samples cost one look into the history."""
    history = Counting()
    tick = OneTick(history)
    assert tick.select(NAMED, 0.0, 10.0) is tick.select(NAMED, 0.0, 10.0)
    assert history.asked == 1
    tick.select(NAMED, 1.0, 10.0)
    assert history.asked == 2


def test_what_was_written_is_seen_by_name_and_by_pattern():
    """What a rule of the group wrote comes on top of the history, within its range of time."""
    tick = OneTick(Counting())
    tick.select(NAMED, 0.0, 10.0)
    tick.write(10.0, {LABELS: 2.0, (*LABELS, ("b", "1")): 3.0}, {"a:x"})
    for matchers in (NAMED, PATTERN):
        found = {one.labels: (one.times, one.values) for one in tick.select(matchers, 0.0, 10.0)}
        assert found == {
            LABELS: ([5.0, 10.0], [1.0, 2.0]),
            (*LABELS, ("b", "1")): ([10.0], [3.0]),
        }
    assert [one.values for one in tick.select(NAMED, 0.0, 9.0)] == [[1.0]]


def test_only_what_may_have_changed_is_asked_again():
    """After a group wrote, questions about its series are asked anew and others are not."""
    history = Counting()
    tick = OneTick(history)
    table = SeriesTable()
    metric = Metric(name="a:x", type=MetricType.GAUGE, help="Made up.")
    for matchers in (NAMED, OTHER, PATTERN):
        tick.select(matchers, 0.0, 10.0)
    tick.record(10.0, [table.intern(metric)], [2.0], {metric.name})
    assert [one.values for one in tick.select(NAMED, 0.0, 10.0)] == [[1.0, 2.0]]
    tick.select(PATTERN, 0.0, 10.0)
    tick.select(OTHER, 0.0, 10.0)
    assert history.asked == 5


def test_the_newest_samples_are_those_just_written():
    """What was written hides what the history has, and what ended is not there at all."""
    history = Counting()
    tick = OneTick(history)
    assert tick.latest(NAMED, 0.0, 10.0) == [(LABELS, 5.0, 1.0)]
    assert tick.latest(NAMED, 0.0, 10.0) == [(LABELS, 5.0, 1.0)]
    assert history.asked == 1
    tick.write(10.0, {LABELS: 2.0}, {"a:x"})
    assert tick.latest(NAMED, 0.0, 10.0) == [(LABELS, 10.0, 2.0)]
    tick.write(10.0, {LABELS: STALE}, {"a:x"})
    assert tick.latest(NAMED, 0.0, 10.0) == []


def test_times_compare_in_milliseconds():
    """A rule sees what one before it wrote at a time that rounds down to that of the question."""
    tick = OneTick(Counting())
    tick.write(10.0004, {LABELS: 2.0}, {"a:x"})
    assert tick.latest(NAMED, 0.0, 10.0) == [(LABELS, 10.0004, 2.0)]
    assert [one.values for one in tick.select(NAMED, 0.0, 10.0)] == [[1.0, 2.0]]
