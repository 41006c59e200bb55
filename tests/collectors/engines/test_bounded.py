"""Label values that an engine chooses stay short enough for pages, logs and alerts."""

from hypothesis import given
from hypothesis import strategies as st

from collectors.engines.bounded import MAX_LABEL, bounded

# Long enough to be cut, of few characters: beginnings are often the same.
LONG = st.text(alphabet="aé\n", min_size=MAX_LABEL - 3, max_size=2 * MAX_LABEL)


@given(LONG, LONG)
def test_two_values_stay_two(one: str, other: str):
    """None is longer than the limit, what fits is as it was, and what differs goes on to differ."""
    assert len(bounded(one)) <= MAX_LABEL
    assert (bounded(one) == one) == (len(one) <= MAX_LABEL)
    assert (bounded(one) == bounded(other)) == (one == other)


def test_any_text_has_a_digest():
    """Also text that is no UTF-8, as a command line may hold it."""
    assert len(bounded("\udcff" * 10_000)) == MAX_LABEL
