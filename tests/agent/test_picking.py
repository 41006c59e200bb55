"""Places are picked alike, however many there are."""

import pytest

from agent.picking import picker


@pytest.mark.parametrize("places", [(), (2,), (0, 2), (2, 0, 2)])
def test_the_items_at_these_places(places: tuple[int, ...]):
    """The answer is a tuple with the item of each place, in the order of the places."""
    assert picker(places)(["a", "b", "c"]) == tuple("abc"[place] for place in places)
