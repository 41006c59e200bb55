"""Picking the same places out of one list after another."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

Pick = Callable[[Sequence[Any]], tuple[Any, ...]]


def picker(places: Sequence[int]) -> Pick:
    """Return a function that picks the items at these places, all of them in one step."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda items: tuple(items[place] for place in places)
