"""Weights follow what forecasts were worth, and errors give intervals that hold."""

import numpy as np
import pytest

from agent.analysis.demand.blend import Blend
from agent.analysis.demand.candidates import COUNT, NEWEST, Candidates
from agent.analysis.demand.errors import FEWEST, Errors

STEPS = np.array([5, 15])
EQUAL = np.full(3, 1.0 / 3.0)


def run(values: np.ndarray, forecasts: np.ndarray) -> tuple[Blend, float, np.ndarray]:
    """Return a blend after some minutes, its mean error and those of the forecasts, 5 ahead.

    Args:
        values: what came.
        forecasts: of each minute, shape (minutes, forecasts), the same at both horizons.
    """
    blend = Blend(STEPS, EQUAL)
    off = []
    for minute, value in enumerate(values):
        said = blend.judge(minute, float(value))
        off.append(abs(said[0] - value))
        due = np.minimum(minute + STEPS, len(values) - 1)
        blend.say(minute, forecasts[due])
    late = len(values) // 2
    each = np.abs(forecasts[late:] - values[late:, None]).mean(axis=0)
    return blend, float(np.mean(off[late:])), each


def test_the_best_forecast_is_believed():
    """One that is right all the time gets all the weight before long."""
    dice = np.random.default_rng(1)
    values = 100.0 + 10.0 * dice.standard_normal(600)
    wrong = values[:, None] + 20.0 * dice.standard_normal((600, 2))
    blend, error, _each = run(values, np.column_stack((wrong, values)))
    assert blend.weights[0, 2] > 0.9
    assert error < 1.0


def test_the_blend_is_better_than_each():
    """Where errors cancel, weights go to both: as good as the best fixed weights, nearly."""
    dice = np.random.default_rng(2)
    values = 100.0 + 10.0 * dice.standard_normal(2000)
    forecasts = values[:, None] + 20.0 * dice.standard_normal((2000, 3))
    _blend, error, each = run(values, forecasts)
    assert error < 0.65 * each.min()


def test_weights_change_with_the_demand():
    """A forecast that was the best for a day and is the worst now loses its weight within hours."""
    dice = np.random.default_rng(3)
    values = 100.0 + 10.0 * dice.standard_normal(2000)
    forecasts = values[:, None] + np.array([10.0, 20.0, 40.0]) * dice.standard_normal((2000, 3))
    forecasts[1440:] = forecasts[1440:, ::-1]
    blend, _error, _each = run(values, forecasts)
    assert blend.weights[0, 2] > 0.5
    assert blend.weights[0, 0] < 0.1


def test_a_forecast_whose_minute_never_came_is_not_judged():
    """After a gap nothing is said of what was foreseen before it, and nothing learned."""
    blend = Blend(STEPS, EQUAL)
    for minute in range(20):
        blend.judge(minute, 1.0)
        blend.say(minute, np.full((2, 3), 1.0))
    assert np.isnan(blend.judge(500, 1.0)).all()
    blend.say(500, np.full((2, 3), 1.0))
    assert np.isnan(blend.judge(501, 1.0)).all()


def test_intervals_hold_what_they_say():
    """Of errors of any size, nine of ten lie within the interval, about as many on either side."""
    dice = np.random.default_rng(4)
    errors = Errors(1)
    said = np.array([10_000.0])
    below = above = 0
    for step in range(3000):
        low, high = errors.around(said)
        value = float(np.exp(np.log(10_000.0) + (0.1 + step / 6000.0) * dice.standard_normal()))
        errors.take(said, low, high, value)
        if step < FEWEST:
            assert np.isnan(low).all()
        if step > 200:
            below += bool(value < low[0])
            above += bool(value > high[0])
    assert below / 2800 == pytest.approx(0.05, abs=0.015)
    assert above / 2800 == pytest.approx(0.05, abs=0.015)


def test_candidates_of_a_constant_are_that_constant():
    """What never changed stays, by every forecast, with a season or without."""
    candidates = Candidates()
    for _ in range(30):
        candidates.take(50.0, 50.0, minutes=1)
    for seasons in (None, np.array([50.0, 50.0])):
        assert np.allclose(candidates.ahead(STEPS, seasons, 50.0), 50.0)


def test_candidates_follow_line_and_season():
    """A line goes on, damped; a season that doubles doubles what the last minutes were of it."""
    candidates = Candidates()
    for minute in range(200):
        candidates.take(100.0 + minute, 80.0, minutes=1)
    found = candidates.ahead(np.array([10]), np.array([160.0]), 80.0)[0]
    assert found[NEWEST] == 299.0
    assert found.shape == (COUNT,)
    assert any(305.0 < value < 309.5 for value in found)
    assert found.max() == pytest.approx(2.0 * 299.0, rel=0.05)


def test_at_night_a_ratio_means_little():
    """A hundred times the next to nothing that is usual at night is not a hundred times the day."""
    candidates = Candidates()
    for _ in range(60):
        candidates.take(100.0, 1.0, minutes=1)
    found = candidates.ahead(np.array([60]), np.array([2000.0]), 1000.0)
    assert found.max() < 6500.0
