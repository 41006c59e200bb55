"""How well a level and a line explain counts, and by how much they scatter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.forecasts.stretches import Stretches, deviance, dispersion, noise_of

COUNTS = st.lists(st.integers(0, 50), min_size=20, max_size=120)


def places(*ends: int) -> np.ndarray:
    """Return ends of stretches."""
    return np.array(ends, dtype=np.intp)


@given(COUNTS, st.integers(0, 9))
def test_sums_and_moments_are_those_of_the_stretch(counts: list[int], begin: int):
    """Sum, first moment about the middle and its squares are what adding up says."""
    end = len(counts) - 3
    own = np.array(counts[begin:end], dtype=float)
    about = np.arange(len(own)) - 0.5 * (len(own) - 1)
    found = Stretches(np.array(counts, dtype=float)).of(places(begin), places(end))
    wanted = (own.sum(), own @ about, about @ about)
    assert [float(value[0]) for value in found] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("slope", [-0.9, -0.5, 0.0, 0.2, 0.7, 0.9])
def test_a_line_gains_what_its_likelihood_does(slope: float):
    """The gain of a line over a level is that of the best of all lines, within a few percent."""
    along = (np.arange(200) + 0.5) / 100.0 - 1.0
    counts = np.random.default_rng(3).poisson(4.0 * (1.0 + slope * along)).astype(float)
    level, line = deviance(Stretches(counts), places(0), places(200))
    tried = np.linspace(-0.96, 0.96, 500)
    best = float((2.0 * (counts @ np.log1p(np.outer(along, tried)))).max())
    assert float(level[0] - line[0]) == pytest.approx(best, rel=0.03, abs=0.3)


@given(COUNTS)
def test_a_line_is_never_worse_than_a_level(counts: list[int]):
    """Whatever was counted, a level is among the lines, and both are numbers."""
    sums = Stretches(np.array(counts, dtype=float))
    level, line = deviance(sums, places(0, 3), places(15, len(counts)))
    assert np.isfinite(level).all()
    assert (line <= level).all()


@given(COUNTS, COUNTS)
def test_two_levels_explain_no_less_than_one(first: list[int], second: list[int]):
    """A break never costs likelihood, wherever it is: only its price speaks against it."""
    at, many = len(first), len(first) + len(second)
    sums = Stretches(np.array(first + second, dtype=float))
    level, _line = deviance(sums, places(0, 0, at), places(many, at, many))
    assert level[1] + level[2] <= level[0] + 2.0 * np.log(2.0)  # of nothing half a request is taken


def test_noise_is_that_of_the_counts():
    """Poisson counts have a noise of 1; where each request brings three others it is near four."""
    counts = np.random.default_rng(1).poisson(3.0, 3000).astype(float)
    assert noise_of(counts, 1) == pytest.approx(1.0, abs=0.12)
    assert 2.0 < noise_of(4.0 * counts[:3000] * 0.25 + 3.0 * (counts % 4 == 0) * 4.0, 1) < 4.5


@pytest.mark.parametrize("stride", [1, 2, 3, 5, 10, 15])
def test_noise_is_not_less_for_looks_that_are_rare(stride: int):
    """What was counted every few seconds and is spread over them scatters as it did."""
    counts = np.random.default_rng(2).poisson(3.0, 3000).reshape(-1, stride).sum(axis=1) / stride
    assert noise_of(np.repeat(counts, stride), stride) == pytest.approx(1.0, abs=0.2)


def test_dispersion_is_about_the_line():
    """What a slope explains is no scatter: Poisson counts about a steep line have about 1."""
    along = (np.arange(240) + 0.5) / 120.0 - 1.0
    counts = np.random.default_rng(4).poisson(4.0 * (1.0 + 0.9 * along)).astype(float)
    spans = places(240)
    total, moment, spread = Stretches(counts).of(places(0), spans)
    steep = moment / spread
    assert dispersion(counts, spans, total, steep * steep * spread)[0] == pytest.approx(
        1.0, abs=0.3
    )
    assert dispersion(counts, spans, total, 0.0 * steep)[0] > 4.0
