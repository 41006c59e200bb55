"""Least squares without negative coefficients."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.nonnegative import inverse, solve


def _problem(seed: int, count: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return columns of very different size, two of them nearly the same, and what they explain."""
    dice = np.random.default_rng(seed)
    columns = dice.uniform(0.0, 1.0, (rows, count)) * 10.0 ** dice.uniform(-3, 4, count)
    if count > 2:
        columns[:, 2] = columns[:, 1] * dice.uniform(0.99, 1.01, rows)
    return columns, dice.normal(0.0, 1.0, rows)


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(6, 40))
def test_solution_is_the_minimum(seed: int, count: int, rows: int):
    """The conditions of Karush, Kuhn and Tucker hold, so no other x >= 0 is better."""
    columns, values = _problem(seed, count, rows)
    gram, moment = columns.T @ columns, columns.T @ values
    found = solve(gram[None], moment[None])[0]
    size = np.sqrt(np.diag(gram))
    slope = (gram @ found - moment) / size
    allowance = 1e-5 * np.linalg.norm(values)
    assert (found >= 0).all()
    assert (slope > -allowance).all(), "a coefficient that would lower the error is held at zero"
    assert np.abs(slope[found > 0]).max(initial=0.0) < allowance


@given(st.integers(0, 1000))
def test_batch_is_many_single_problems(seed: int):
    """Each problem of a batch gives what it gives alone."""
    problems = [_problem(seed + number, 4, 20) for number in range(3)]
    gram = np.array([columns.T @ columns for columns, _values in problems])
    moment = np.array([columns.T @ values for columns, values in problems])
    alone = [solve(gram[i : i + 1], moment[i : i + 1])[0] for i in range(3)]
    np.testing.assert_allclose(solve(gram, moment), alone)


def test_terms_that_are_not_allowed_stay_zero():
    """A coefficient that is not allowed is zero, however much it would explain."""
    columns = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    gram, moment = columns.T @ columns, columns.T @ columns[:, 1]
    found = solve(gram[None], moment[None], allowed=np.array([True, False]))[0]
    np.testing.assert_allclose(found, [2.0, 0.0])


@given(st.integers(0, 1000))
def test_inverse(seed: int):
    """The inverse times the matrix is one, for columns of any size that differ enough."""
    columns = np.random.default_rng(seed).normal(0.0, 1.0, (30, 4)) * [1e-3, 1.0, 1e2, 1e4]
    gram = columns.T @ columns
    size = np.sqrt(np.diag(gram))
    scaled = inverse(gram) * np.outer(size, size)
    np.testing.assert_allclose(scaled @ (gram / np.outer(size, size)), np.eye(4), atol=1e-5)


def test_inverse_of_the_same_column_twice_is_huge():
    """What no data tell apart comes out as very uncertain, not as an error."""
    columns = np.array([[1.0, 1.0], [2.0, 2.0]])
    assert np.diag(inverse(columns.T @ columns)).min() > 1e5
