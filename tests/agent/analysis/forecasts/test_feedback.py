"""A batch that slows itself down swings further, and returns later."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.forecasts.feedback import amplified, feedback

LIFETIME = 10.0
REQUESTS = 400.0
STEP = 0.02 * LIFETIME
CHAINS = 1500


def variances(slowing: float, *, seconds: float) -> list[float]:
    """Return the variance of the requests inside, step after step.

    Many engines begin with the same number, of which some come by chance and some end by chance,
    each the later the more there are.
    """
    dice = np.random.default_rng(7)
    inside = np.full(CHAINS, REQUESTS)
    found = []
    for _step in range(round(seconds / STEP)):
        stays = LIFETIME * (1.0 + slowing * (inside - REQUESTS))
        ended = dice.binomial(inside.astype(int), np.minimum(STEP / stays, 1.0))
        inside = inside + dice.poisson(REQUESTS / LIFETIME * STEP, CHAINS) - ended
        found.append(float(inside.var()))
    return found


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_chance_is_amplified_as_in_engines_that_slow_down(share: float):
    """At any time ahead the variance is that of engines without feedback times what is told."""
    seconds = 6.0 * LIFETIME
    calm, swinging = (variances(c / REQUESTS, seconds=seconds) for c in (0.0, share))
    times = np.cumsum(np.full(len(calm), STEP))
    told = amplified(times, LIFETIME, share)
    for at in (0, len(calm) // 12, len(calm) // 4, -1):
        assert swinging[at] / calm[at] == pytest.approx(told[at], rel=0.12)


@given(st.floats(0.0, 0.8), st.floats(0.1, 1e3))
def test_chance_builds_up(share: float, unit: float):
    """Nothing more at first, then ever more, up to the settled variance."""
    told = amplified(np.geomspace(1e-3, 1e3, 60) * unit, unit, share)
    assert told[0] == pytest.approx(1.0, abs=0.01)
    assert told[-1] == pytest.approx(1.0 / (1.0 - share))
    assert (np.diff(told) >= -1e-9).all()


@given(st.floats(0.0, 0.08), st.floats(1.0, 500.0), st.floats(0.0, 1.0))
def test_what_comes_back_is_a_share(slowing: float, many: float, usage: float):
    """Never all of it, and the more the slower a larger batch is."""
    slowing = min(slowing, 0.8 / many)
    found = feedback(slowing, many, usage)
    assert 0.0 <= found <= 0.8
    assert found >= feedback(0.5 * slowing, many, usage)


def test_steps_that_do_not_lengthen_send_nothing_back():
    """Where a token takes as long in any batch, chance is as it is."""
    assert feedback(0.0, 50.0, 0.5) == 0.0
    assert (amplified(np.array([1.0, 10.0, 100.0]), 5.0, 0.0) == 1.0).all()


def test_it_is_taken_on_the_way_to_a_full_cache():
    """Of a full cache it is that of the batch of now, of a half full one that of half as many more.

    Steps of 1 + 0.01 (N - 50) last 1.25 with 75: one request in a hundred more is 0.6 in a hundred.
    """
    assert feedback(0.01, 50.0, 1.0) == pytest.approx(0.5)
    assert feedback(0.01, 50.0, 0.5) == pytest.approx(0.75 / 1.25)
