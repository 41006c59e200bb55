"""What some seconds brought, whatever pages were missed and engines began anew."""

from math import nan

import pytest

from agent.analysis.capacity.slot import slot_of
from agent.catalog import engine
from tests.agent.analysis.views import Key, view_of


def _counted(values: list[float]) -> dict[Key, list[float]]:
    """Return columns of an engine that generates ten tokens for each request."""
    return {
        (engine.GENERATION_TOKENS, ""): [10.0 * value for value in values],
        (engine.TIME_TO_FIRST_TOKEN, "_count"): values,
        (engine.PROMPT_TOKENS, ""): [30.0 * value for value in values],
    }


def test_a_missed_page_loses_no_growth():
    """What was counted while pages were missed shows in the next one, and belongs to the slot."""
    slot = slot_of(view_of(_counted([0.0, 1.0, nan, nan, 4.0, 5.0, nan, 7.0])))
    assert (slot.requests, slot.generated, slot.prompt) == (7.0, 70.0, 210.0)
    assert not slot.restarted


def test_an_engine_that_began_anew_is_known_by_it():
    """Its counters began at zero: what they show then is growth, across a missed page too."""
    slot = slot_of(view_of(_counted([5.0, 6.0, nan, 1.0, 2.0])))
    assert (slot.requests, slot.restarted) == (3.0, True)


def test_what_is_never_counted_is_not_known():
    """Without a single known difference there is no sum, and no zero."""
    slot = slot_of(view_of(_counted([nan, 1.0, nan])))
    assert slot.generated == pytest.approx(nan, nan_ok=True)
