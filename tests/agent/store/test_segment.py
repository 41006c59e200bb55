"""A segment gives back what was appended, however the layouts of its rows changed."""

from array import array
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Metric, MetricType, SeriesTable
from agent.store.layout import Layout
from agent.store.segment import Segment
from agent.store.series import STALE
from agent.store.sparse import SparseSegment
from agent.store.target import Directory, Target

SERIES = 12

_METRIC = Metric(name="inferwatch_made_up", type=MetricType.GAUGE, help="Made up.", labels=("n",))
_ROWS = st.lists(
    st.tuples(
        # Most are always there: those that come and go keep their places then.
        st.sets(st.integers(0, 3)).map(lambda some: [*range(4, SERIES), *sorted(some)]),
        st.sets(st.integers(0, SERIES - 1)).map(sorted),
        st.booleans(),
        st.integers(1, 9),
    ).map(lambda drawn: (drawn[1] if drawn[2] else drawn[0], drawn[3])),
    min_size=1,
    max_size=8,
)


@given(
    stretches=_ROWS,
    wanted=st.lists(st.integers(0, SERIES - 1), unique=True),
    cut=st.tuples(st.integers(0, 80), st.integers(0, 80)),
)
def test_columns_are_what_was_appended(
    stretches: list[tuple[list[int], int]], wanted: list[int], cut: tuple[int, int]
) -> None:
    """Each series has its values, and a marker where it ends, at the ticks of the cut."""
    table = SeriesTable()
    ids = [table.intern(_METRIC, (str(number),)) for number in range(SERIES)]
    directory = Directory(table, Target())
    segment = Segment("", 0)
    layout: Layout | None = None
    expected: list[dict[int, float]] = []
    before: set[int] = set()
    for numbers, ticks in stretches:
        here = [ids[number] for number in numbers]
        for repeat in range(ticks):
            if repeat == 0:
                layout = Layout(here, directory, layout)
            assert layout is not None
            tick = len(expected)
            values = {one: float(tick * 100 + one) for one in here}
            ended = sorted(before.difference(here))
            expected.append({**dict.fromkeys(ended, STALE), **values})
            segment.add(float(tick), layout, layout.row(array("d", values.values())), ended)
            before = set(here)
    low, high = sorted(cut)
    high = min(high, len(expected))

    found = segment.columns([ids[number] for number in wanted], low, high)

    for number in wanted:
        ticks_of = [tick for tick in range(low, high) if ids[number] in expected[tick]]
        if not ticks_of:
            assert ids[number] not in found
            continue
        column = found[ids[number]]
        assert [tick for run in column.runs for tick in range(*run)] == ticks_of
        values_of = [expected[tick][ids[number]] for tick in ticks_of]
        assert np.array(column.values).tobytes() == np.array(values_of).tobytes()


@given(
    records=st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 3))), min_size=1, max_size=40),
    cut=st.tuples(st.integers(0, 40), st.integers(0, 40)),
)
def test_columns_of_records_are_what_was_recorded(
    records: list[tuple[bool, set[int]]], cut: tuple[int, int]
) -> None:
    """Of series that are recorded now and then, each has its values at the ticks of the cut."""
    segment = SparseSegment("", 0)
    expected: list[dict[int, float]] = []
    for together, ids in records:
        if not together or not expected:
            expected.append({})
        tick = len(expected) - 1
        values = {one: float(tick * 100 + one + together) for one in ids}
        segment.record(float(tick), [*values], [*values.values()])
        expected[-1].update(values)
    low, high = sorted(cut)

    found = segment.columns(range(4), low, high)

    for one in range(4):
        kept = {
            tick: values[one]
            for tick, values in enumerate(expected)
            if low <= tick < high and one in values
        }
        column = found.get(one)
        ticks = [] if column is None else [t for run in column.runs for t in range(*run)]
        assert ticks == [*kept]
        assert ([] if column is None else [*column.values]) == [*kept.values()]
        assert column is None or all(before[1] < run[0] for before, run in pairwise(column.runs))


def test_records_wait_for_whoever_looks_and_not_for_ever() -> None:
    """However many there are, what is looked at is all of them; the same tick twice is one."""
    segment = SparseSegment("", 0)
    for tick in range(600):
        segment.record(float(tick), [1, 2], [float(tick), 0.0])
        segment.record(float(tick), [2], [float(-tick)])
    assert segment.series() == {1, 2}
    assert segment.count() == 1200
    columns = segment.columns([1, 2], 100, 600)
    assert [*columns[1].values] == [float(tick) for tick in range(100, 600)]
    assert [*columns[2].values] == [float(-tick) for tick in range(100, 600)]
    assert columns[1].runs == columns[2].runs == [(100, 600)]
