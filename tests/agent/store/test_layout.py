"""What a row holds is found alike whether rows before it had it or not."""

from hypothesis import given
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


@given(
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
):
    """Whatever was asked of the rows before, and whatever came, went or changed its place."""
    table = SeriesTable()
    ids = [table.intern(_METRICS[n % 3], (str(n // 3),)) for n in range(9)]
    directory = Directory(table, Target())
    before: Layout | None = None
    for numbers, asked in rows:
        layout = Layout([ids[number] for number in numbers], directory, before)
        fresh = Layout(layout.ids, directory)
        last = [] if before is None else before.ids
        assert [last[place] if place >= 0 else None for place in layout.origins] == [
            series_id if series_id in last else None for series_id in layout.ids
        ]
        assert layout.gone == [series_id for series_id in last if series_id not in layout.ids]
        assert fresh.ids == layout.ids
        for matchers in (*asked, *_MATCHERS) if len(asked) > 1 else asked:
            found, wanted = layout.select(matchers), fresh.select(matchers)
            assert sorted(found.ids) == sorted(wanted.ids)
            assert [layout.ids[place] for place in found.places] == [*found.ids]
            assert [*found.labels] == [directory.labels(series_id) for series_id in found.ids]
            assert layout.places(found).tolist() == found.places.tolist()
        before = layout
