"""What a row holds is found alike whether rows before it had it or not."""

from array import array

from hypothesis import given as drawn
from hypothesis import strategies as st

from agent.model import Metric, MetricType, SeriesTable
from agent.store.layout import Layout
from agent.store.series import Matcher, MatchOp
from agent.store.target import Directory, Target

_METRICS = [
    Metric(name=f"m{number}", type=MetricType.GAUGE, help="Made up.", labels=("a",))
    for number in range(3)
]
_MATCHERS = [
    (Matcher("__name__", MatchOp.EQUAL, "m0"),),
    (Matcher("__name__", MatchOp.EQUAL, "m1"), Matcher("a", MatchOp.NOT_EQUAL, "1")),
    (Matcher("__name__", MatchOp.EQUAL, "m2"), Matcher("a", MatchOp.REGEX, "0|2")),
    (Matcher("__name__", MatchOp.REGEX, "m[01]"),),
    (Matcher("__name__", MatchOp.EQUAL, "none"),),
]


@drawn(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 8), unique=True),
            st.lists(st.sampled_from(_MATCHERS), max_size=3),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_selections_are_those_of_a_layout_without_a_past(
    rows: list[tuple[list[int], list[tuple[Matcher, ...]]]],
) -> None:
    """Whatever was asked of the rows before, and whatever came, went or changed its place."""
    table = SeriesTable()
    ids = [table.intern(_METRICS[n % 3], (str(n // 3),)) for n in range(9)]
    directory = Directory(table, Target())
    before: Layout | None = None
    held: list[int] = []
    place_before: dict[int, int] = {}
    for numbers, asked in rows:
        given = [ids[number] for number in numbers]
        layout = Layout(given, directory, before)
        fresh = Layout(layout.ids, directory)
        last = held
        assert sorted(layout.ids) == sorted(given)
        assert len(layout) == len(given)
        seats = layout.table.ids
        assert layout.find(seats).tolist() == [
            place if series_id in given else -1 for place, series_id in enumerate(seats)
        ]
        for series_id, place in zip(seats, layout.origins.tolist(), strict=True):
            assert (place >= 0) == (series_id in last)
            assert place < 0 or place_before[series_id] == place
        assert sorted(layout.came) == sorted(set(given) - set(last))
        assert sorted(layout.gone) == sorted(set(last) - set(given))
        row = layout.row(array("d", map(float, given)))
        assert row.tolist() == [float(i) if i in given else 0.0 for i in seats]
        for matchers in (*asked, *_MATCHERS) if len(asked) > 1 else asked:
            found, wanted = layout.select(matchers), fresh.select(matchers)
            assert sorted(found.ids) == sorted(wanted.ids)
            assert [seats[place] for place in found.places] == [*found.ids]
            assert [*found.labels] == [directory.labels(series_id) for series_id in found.ids]
            assert layout.places(found).tolist() == found.places.tolist()
        before, held = layout, given
        place_before = {series_id: place for place, series_id in enumerate(seats)}


def test_series_that_come_and_go_keep_their_places() -> None:
    """Layouts share one table for as long as few series are away; then these lose their places."""
    table = SeriesTable()
    ids = [table.intern(_METRICS[0], (str(n),)) for n in range(100)]
    directory = Directory(table, Target())
    first = Layout(ids, directory)
    fewer = Layout(ids[20:], directory, first)
    again = Layout([*ids[50:], *ids[:50]], directory, fewer)
    assert fewer.table is again.table is first.table
    assert [*again.ids] == ids
    more = Layout([table.intern(_METRICS[1], ("new",)), *ids[10:]], directory, again)
    assert [*more.table.ids[-10:]] == ids[:10]
    least = Layout(ids[30:], directory, more)
    assert [*least.table.ids] == ids[30:]
