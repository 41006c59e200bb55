"""What some seconds brought, whatever pages were missed and engines began anew."""

from math import nan

import numpy as np
import pytest

from agent.analysis.capacity.slot import scatter_of, slot_of
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


def _arriving(*, rate: float, seed: int, cached: bool) -> tuple[dict[Key, list[float]], float]:
    """Return the columns of an engine whose prompts begin alike, and the scatter of what is new."""
    dice = np.random.default_rng(seed)
    counts = dice.poisson(rate, 400)
    new = [dice.lognormal(5.5, 0.3, count) for count in counts]
    each = np.array([one.sum() for one in new])
    both = each + 900.0 * counts
    columns: dict[Key, list[float]] = {
        (engine.GENERATION_TOKENS, ""): np.cumsum(both).tolist(),
        (engine.TIME_TO_FIRST_TOKEN, "_count"): np.cumsum(counts).tolist(),
        (engine.PROMPT_TOKENS, ""): np.cumsum(both).tolist(),
    }
    found = engine.PROMPT_TOKENS_CACHED if cached else engine.PREFIX_CACHE_HITS
    columns[found, ""] = np.cumsum(900.0 * counts).tolist()
    everyone = np.concatenate(new)
    return columns, float(everyone.var() / everyone.mean() ** 2)


@pytest.mark.parametrize("rate", [0.3, 2.0, 12.0])
def test_how_prompts_scatter_is_seen_however_many_come(rate: float):
    """What is computed of prompts that begin alike scatters more than the prompts do."""
    columns, scatter = _arriving(rate=rate, seed=3, cached=True)
    assert scatter_of(slot_of(view_of(columns)).sums[0]) == pytest.approx(scatter, rel=0.2)


def test_what_is_found_in_a_cache_at_another_time_tells_no_scatter():
    """Hits are counted when a request is taken, its prompt when it answers: in another second."""
    columns, _scatter = _arriving(rate=2.0, seed=3, cached=False)
    assert scatter_of(slot_of(view_of(columns)).sums[0]) is None


def test_few_seconds_tell_no_scatter():
    """With requests in a dozen seconds only, nothing is said."""
    columns, _scatter = _arriving(rate=0.03, seed=3, cached=True)
    assert scatter_of(slot_of(view_of(columns)).sums[0]) is None
    assert scatter_of(np.zeros(4)) is None
