"""The trailing columns that analysis reads."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.window import Window, growth, median, rounded
from agent.catalog import engine, host
from agent.model import Frame, SeriesTable


class Feed:
    """Hands frames to a window as the pipeline does: the same list of ids while it stands."""

    def __init__(self, window: Window) -> None:
        self.table = SeriesTable()
        self.window = window
        self._layouts: dict[tuple[int, ...], list[int]] = {}

    def series(self, name: str) -> int:
        """Return a series of running requests for an engine of this name."""
        return self.table.intern(engine.REQUESTS_RUNNING, ("vllm", name, "m", "0"))

    def tick(self, time: float, values: dict[int, float]) -> None:
        """Append a frame."""
        ids = self._layouts.setdefault(tuple(values), [*values])
        self.window.append(Frame(time, self.table, ids, [*values.values()]))

    def column(self, series_id: int) -> list[float]:
        """Return the column of a series."""
        return self.window.column(self.window.ids()[series_id]).tolist()


@pytest.fixture
def feed() -> Feed:
    """Return a feed into a window of ten seconds."""
    return Feed(Window([engine.REQUESTS_RUNNING], span=10.0))


class TestWindow:
    """Rows come in, columns go out."""

    @pytest.mark.parametrize("nonsense", [math.inf, -math.inf, -1.0, 1e300, math.nan])
    def test_what_makes_no_sense_is_not_known(self, feed: Feed, nonsense: float) -> None:
        """Whatever a page says, arithmetic meets numbers that can be, or NaN."""
        a, b = feed.series("a"), feed.series("b")
        feed.tick(1.0, {a: nonsense, b: 0.0})
        feed.tick(2.0, {a: 1.0, b: nonsense})
        np.testing.assert_equal(feed.column(a), [math.nan, 1.0])
        np.testing.assert_equal(feed.column(b), [0.0, math.nan])

    def test_of_some_histograms_the_buckets_are_left_out(self) -> None:
        """Sum and count are kept, and so are the buckets of others."""
        wanted = (engine.PREFILL_TIME, engine.QUEUE_TIME)
        feed = Feed(Window(wanted, means=[engine.PREFILL_TIME]))
        labels = ("vllm", "a", "m", "0")
        given = {
            (metric.name, suffix, le): feed.table.intern(metric, labels, suffix=suffix, le=le)
            for metric in wanted
            for suffix, le in (
                ("_bucket", "1.0"),
                ("_bucket", "+Inf"),
                ("_sum", ""),
                ("_count", ""),
            )
        }
        feed.tick(1.0, dict.fromkeys(given.values(), 1.0))
        kept = {key for key, series_id in given.items() if series_id in feed.window.ids()}
        without = {key for key in given if key[0] == engine.PREFILL_TIME.name and key[2]}
        assert kept == set(given) - without

    def test_columns_are_aligned_with_the_times(self, feed: Feed) -> None:
        """Each column has one value a row, NaN where the tick had none."""
        a, b = feed.series("a"), feed.series("b")
        feed.tick(1.0, {a: 1.0})
        feed.tick(2.0, {a: 2.0, b: 5.0})
        feed.tick(3.0, {b: 6.0})
        assert feed.window.times.tolist() == [1.0, 2.0, 3.0]
        assert feed.column(a)[:2] == [1.0, 2.0]
        assert math.isnan(feed.column(a)[2])
        assert math.isnan(feed.column(b)[0])
        assert feed.column(b)[1:] == [5.0, 6.0]

    def test_what_is_not_wanted_is_not_kept(self, feed: Feed) -> None:
        """A metric that no analysis reads costs no column."""
        other = feed.table.intern(host.LOAD1)
        feed.tick(1.0, {other: 1.0, feed.series("a"): 2.0})
        assert list(feed.window.ids()) == [feed.series("a")]

    def test_rows_leave_after_the_span(self, feed: Feed) -> None:
        """A row is kept while it is at most the span old, however many follow."""
        a = feed.series("a")
        for second in range(1000):
            feed.tick(float(second), {a: float(second)})
        assert feed.window.times.tolist() == [float(second) for second in range(989, 1000)]
        assert feed.column(a) == [float(second) for second in range(989, 1000)]

    def test_a_window_grows_with_the_number_of_ticks(self) -> None:
        """With ten ticks a second all of the span is kept too."""
        feed = Feed(Window([engine.REQUESTS_RUNNING], span=100.0))
        a = feed.series("a")
        for tick in range(3000):
            feed.tick(tick / 10, {a: float(tick)})
        assert len(feed.window.times) == 1001
        assert feed.column(a)[0] == 1999.0

    def test_a_column_is_given_away_only_when_it_is_empty(self, feed: Feed) -> None:
        """A series that ended keeps its column while a row has it, and its heir starts clean."""
        a, b = feed.series("a"), feed.series("b")
        feed.tick(0.0, {a: 1.0})
        feed.tick(5.0, {b: 2.0})
        assert feed.window.ids().keys() == {a, b}
        feed.tick(11.0, {b: 3.0})
        c = feed.series("c")
        feed.tick(12.0, {b: 3.0, c: 9.0})
        assert a not in feed.window.ids()
        assert [value for value in feed.column(c) if not math.isnan(value)] == [9.0]

    def test_a_clock_set_back_forgets_what_came_after(self, feed: Feed) -> None:
        """Times stay ascending."""
        a = feed.series("a")
        for time in (1.0, 2.0, 3.0, 1.5):
            feed.tick(time, {a: time})
        assert feed.column(a) == [1.0, 1.5]

    @given(
        st.lists(
            st.tuples(
                st.floats(0.1, 4.0),
                st.dictionaries(st.integers(0, 70), st.floats(0.0, 1e6), max_size=40),
            ),
            max_size=60,
        )
    )
    def test_it_holds_what_a_plain_list_would(
        self, ticks: list[tuple[float, dict[int, float]]]
    ) -> None:
        """Whatever comes and goes, the columns are those of a list of all ticks."""
        feed = Feed(Window([engine.REQUESTS_RUNNING], span=10.0))
        time = 0.0
        told: list[tuple[float, dict[int, float]]] = []
        for step, named in ticks:
            time += step
            values = {feed.series(str(name)): value for name, value in named.items()}
            feed.tick(time, values)
            told.append((time, values))
        kept = [(at, values) for at, values in told if at >= time - 10.0]
        assert feed.window.times.tolist() == [at for at, _ in kept]
        for series_id in {i for _, values in kept for i in values}:
            expected = [values.get(series_id, math.nan) for _, values in kept]
            np.testing.assert_array_equal(feed.column(series_id), expected)


class TestGrowth:
    """How much a counter grew."""

    def test_a_restart_counts_from_zero(self) -> None:
        """What a counter shows after it fell is growth, not loss."""
        assert growth(np.array([5.0, 7.0, 1.0, 2.0])) == 4.0

    def test_gaps_are_bridged(self) -> None:
        """A row without the value is no restart."""
        assert growth(np.array([5.0, np.nan, 7.0])) == 2.0

    def test_one_value_says_nothing(self) -> None:
        """Unknown, not zero."""
        assert math.isnan(growth(np.array([np.nan, 3.0])))


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=40))
def test_the_median_is_numpys(values: list[float]) -> None:
    """Of an odd number the middle one, of an even number the mean of the middle two."""
    assert median(np.array(values)) == np.median(values)


@given(st.integers(-(10**9), 10**9) | st.floats(-1e8, 1e8, exclude_min=True, exclude_max=True))
def test_a_number_has_six_digits(value: float) -> None:
    """A whole one that has no more is itself, one from a hundred millions on stays as it is."""
    expected = float(f"{value:.6g}") if abs(value) < 1e8 else value
    found = rounded(value)
    assert (found, math.copysign(1.0, found)) == (expected, math.copysign(1.0, expected))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_no_number_stays(value: float) -> None:
    """There are no digits to leave out."""
    np.testing.assert_equal(rounded(value), value)
