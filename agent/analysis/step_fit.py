"""Fits the time of a step to its load, with the uncertainty that the data leave.

T = base + a·prefill + b·decode + c·kv + e·decode², no coefficient negative: the form of Dynamo's
planner (prefill tokens and tokens held), the fixed cost and the batch of llm-d's ITL(k) = A·k + B,
and a term for the bend. Errors are relative, as those of time measurements are.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.median import median, quantile
from agent.analysis.nonnegative import inverse, solve
from agent.analysis.step_drift import Drift, drift_of
from agent.analysis.step_windows import Stretch
from agent.analysis.window import Column

TERMS: Final = ("base", "prefill", "decode", "kv", "bend")

FEWEST: Final = 8
"""Stretches below which nothing is fitted."""

_HUBER: Final = 1.345  # 95 % as efficient as least squares on normal errors (Huber 1964)
_MAD: Final = 1.4826  # from the median absolute deviation to the standard deviation
SCALE_FLOOR: Final = 0.02  # relative misfit of the law that is no disturbance
_BIWEIGHT: Final = 4.685  # likewise (Beaton & Tukey 1974)
_EDGE: Final = 0.25  # weight of slower stretches while the lower edge is looked for
_EDGE_ROUNDS: Final = 2
_ROUNDS: Final = 5
_HALF_COUNT: Final = 20.0  # steps at which a miscounted one weighs as much as all other scatter
_GROUPS: Final = 8  # buckets below which stretches are left out in pairs instead
_BEND_GAIN: Final = 0.95  # how much better it must predict what it has not seen
_DRIFTS: Final = 0.12  # from minute to minute, from which on no bend is told from it
_LEAST: Final = 0.05  # of the law's time against what a step took; beyond, the law says nothing
_LINEAR: Final = np.array([True, True, True, True, False])
_BENT: Final = np.array([True, True, True, True, True])


@dataclass(frozen=True, slots=True)
class StepFit:
    """Coefficients and their replicates.

    Attributes:
        coefficients: seconds of a step, per token or sequence, in the order of `TERMS`.
        replicates: the same with each group of stretches left out, shape (groups, terms).
        alternative: coefficients by the form that was not chosen, with or without the bend.
        doubt: how far the data leave it open which form is right, from 0 to 1.
        inverse: inverse of the weighted X'X of the relative errors, shape (terms, terms); terms
            that are not in the form have 0.
        residual: robust relative scatter of the stretches about the fit.
        explained: share of the variance of the step time that the fit explains.
        stretches: how many it rests on.
        batch: smallest and largest mean batch of a stretch, sequences.
        load: medians of prefill tokens a step, of sequences and of tokens held.
        spread: step time at the 95th over that at the 5th percentile of the stretches.
        drift: how far the machine is from the law.
    """

    coefficients: Column
    replicates: Column
    alternative: Column
    doubt: float
    inverse: Column
    residual: float
    explained: float
    stretches: int
    batch: tuple[float, float]
    load: tuple[float, float, float]
    spread: float
    drift: Drift


def fit(stretches: Sequence[Stretch], keys: Sequence[Hashable]) -> StepFit | None:
    """Return the fit, None where there is too little.

    The interval is that of the delete-a-group jackknife (Efron & Tibshirani 1993, ch. 11), with the
    load bucket as the group. Stretches of one load share the misfit of the form and, close in time,
    the disturbance, so that leaving out single ones would count them as independent.

    Args:
        stretches: the observations.
        keys: load bucket of each.
    """
    if len(stretches) < FEWEST:
        return None
    load, seconds = design(stretches)
    rows = load / seconds[:, None]
    steps = np.array([one.steps for one in stretches])
    base = _counted(stretches)
    weights = _robust(rows, base, _BENT)
    groups = _groups(keys)
    linear, bent = _jackknife(rows, weights, groups)
    errors = [max(_unseen(rows, weights, groups, each), 1e-12) for each in (linear, bent)]
    use_bend = errors[1] < _BEND_GAIN * errors[0]
    chosen, other = (bent, linear) if use_bend else (linear, bent)
    doubt = _doubt(min(errors) / max(errors), len(linear) - 1)
    times = np.array([one.time for one in stretches])
    if use_bend and _drift(rows @ bent[0], base, times, steps * seconds).spread > _DRIFTS:
        # Who comes waits while a machine is slow: then large batches are seen when steps are long
        # for another reason, which looks like a bend.
        weights = _robust(rows, base, _LINEAR)
        linear, _bent = _jackknife(rows, weights, groups)
        use_bend, chosen, other, doubt = False, linear, linear, 0.0
    residual = 1.0 - rows @ chosen[0]
    inverse_of = _inverse(rows, weights, _BENT if use_bend else _LINEAR)
    # What is usual is not told by steps that were picked for their prompts.
    some = np.array([one.by != "prompts" for one in stretches])
    some = some if some.any() else ~some
    load, seconds, weights, part = (one[some] for one in (load, seconds, weights, residual))
    mean = float(np.average(seconds, weights=np.maximum(weights, 1e-12)))
    unexplained = float((weights * (part * seconds) ** 2).sum())
    variance = float((weights * (seconds - mean) ** 2).sum())
    whole = np.array([one.by == "wall" for one in stretches])[some]
    usual = [*map(median, (load[whole] if whole.sum() >= FEWEST else load).T)]
    return StepFit(
        coefficients=chosen[0],
        replicates=chosen[1:],
        alternative=other[0],
        doubt=doubt,
        inverse=inverse_of,
        residual=_MAD * median(np.abs(residual)),
        explained=1.0 - unexplained / variance if variance > 0 else 0.0,
        stretches=len(stretches),
        batch=(float(load[:, 2].min()), float(load[:, 2].max())),
        load=(usual[1], usual[2], usual[3]),
        spread=quantile(seconds, 0.95) / quantile(seconds, 0.05),
        drift=_drift(1.0 - part, base[some], times[some], steps[some] * seconds),
    )


def _drift(law: Column, weights: Column, times: Column, spans: Column) -> Drift:
    """Return how far the machine is from a law.

    Args:
        law: time of a step by it, against what the step took.
        weights: of the stretches.
        times: Unix seconds of each.
        spans: seconds of work in each.
    """
    return drift_of(1.0 / np.maximum(law, _LEAST), weights, times, spans)


def _robust(rows: Column, base: Column, form: NDArray[np.bool_]) -> Column:
    """Return the weights of the stretches, less for those that something disturbed.

    What disturbs makes steps longer, never shorter, so the two sides are not treated alike: first
    the lower edge is found (expectiles, Newey & Powell 1987), then what lies far above it is left
    out altogether (Tukey's biweight) and what lies below only bounded (Huber's).
    """
    weights = base.copy()
    for number in range(_ROUNDS):
        residual = 1.0 - rows @ _solve_one(rows, weights, form)
        weights = _reweighed(base, residual, edge=number < _EDGE_ROUNDS)
    return weights


def _reweighed(base: Column, residual: Column, *, edge: bool) -> Column:
    """Return the weights of stretches by what they differ from a law, relative.

    Args:
        base: weights without that.
        residual: of each, positive where it was slower.
        edge: whether the lower edge is looked for.
    """
    scale = max(_MAD * median(np.abs(residual)), SCALE_FLOOR)
    size = np.abs(residual) / scale
    weights = base * np.minimum(1.0, _HUBER / np.maximum(size, 1e-12))
    slower = residual > 0
    if edge:
        weights[slower] *= _EDGE
    else:
        weights[slower] = (base * np.maximum(0.0, 1.0 - (size / _BIWEIGHT) ** 2) ** 2)[slower]
    return weights


def _counted(stretches: Sequence[Stretch]) -> Column:
    """Return the weights of stretches of which a step at either end may be miscounted."""
    spans = np.array([one.steps * one.seconds for one in stretches])
    longest = np.array([max(one.longest, one.seconds) for one in stretches])
    return np.asarray(1.0 / (1.0 + (_HALF_COUNT * longest / spans) ** 2))


def weighed(stretches: Sequence[Stretch], residual: Column) -> Column:
    """Return the weights of stretches, less for those that something disturbed.

    Args:
        stretches: the observations.
        residual: by which each took longer than a law that was fitted to them, relative.
    """
    return _reweighed(_counted(stretches), residual, edge=False)


def design(stretches: Sequence[Stretch]) -> tuple[Column, Column]:
    """Return the load of each stretch, shape (stretches, terms), and its seconds a step."""
    load = np.array([[1.0, s.prefill, s.decode, s.kv, s.decode_squared] for s in stretches])
    if np.isnan(load[:, 3]).any():
        load[:, 3] = 0.0
    return load, np.array([one.seconds for one in stretches])


def quantile_t(degrees: int) -> float:
    """Return the 95th percentile of Student's t, within 2 % from 2 degrees of freedom.

    Cornish-Fisher expansion about the normal, Abramowitz & Stegun 26.7.5.
    """
    z, n = 1.6448536, float(max(degrees, 2))
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def spread_of(replicates: Column, value: float) -> float:
    """Return the standard error of a value from its delete-a-group replicates.

    About the value itself, not the mean of the replicates: the larger and safer of the two forms.
    """
    count = len(replicates)
    return sqrt((count - 1) / count * float(((replicates - value) ** 2).sum()))


def _solve_one(rows: Column, weights: Column, form: NDArray[np.bool_]) -> Column:
    """Return the best coefficients of a form."""
    weighted = rows * weights[:, None]
    return np.asarray(solve((weighted.T @ rows)[None], weighted.sum(axis=0)[None], allowed=form)[0])


def _groups(keys: Sequence[Hashable]) -> NDArray[np.intp]:
    """Return the number of the group of each stretch."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    groups = np.array([numbers[key] for key in keys])
    if len(numbers) >= _GROUPS:
        return groups
    # Too few to tell the scatter from: pairs of neighbours, in the order of load and time.
    order = np.argsort(groups, kind="stable")
    pairs = np.empty(len(keys), dtype=np.intp)
    pairs[order] = np.arange(len(keys)) // 2
    return pairs


def _jackknife(rows: Column, weights: Column, groups: NDArray[np.intp]) -> tuple[Column, Column]:
    """Return coefficients without and with the bend: of all, then with each group left out."""
    weighted = rows * weights[:, None]
    count = int(groups.max()) + 1
    gram = np.zeros((count + 1, rows.shape[1], rows.shape[1]))
    moment = np.zeros((count + 1, rows.shape[1]))
    np.add.at(gram, groups + 1, weighted[:, :, None] * rows[:, None, :])
    np.add.at(moment, groups + 1, weighted)
    gram[1:] = gram[1:].sum(axis=0) - gram[1:]
    moment[1:] = moment[1:].sum(axis=0) - moment[1:]
    gram[0], moment[0] = weighted.T @ rows, weighted.sum(axis=0)
    return solve(gram, moment, allowed=_LINEAR), solve(gram, moment, allowed=_BENT)


def _doubt(ratio: float, groups: int) -> float:
    """Return how open it is which form is right, from the ratio of their squared errors.

    The likelihood of normal errors falls with the power `groups / 2` of that ratio; 1 where the two
    are as likely, towards 0 where one of them is out of the question.
    """
    less = float(ratio ** (groups / 2))
    return 2 * less / (1 + less)


def _inverse(rows: Column, weights: Column, form: NDArray[np.bool_]) -> Column:
    """Return the inverse of the weighted X'X over the terms of a form, 0 for the others.

    A term whose column is empty (an engine that does not tell its KV tokens) has 0 as well.
    """
    form = form & rows.any(axis=0)
    full = np.zeros((rows.shape[1], rows.shape[1]))
    part = rows[:, form]
    full[np.ix_(form, form)] = inverse((part * weights[:, None]).T @ part)
    return full


def _unseen(rows: Column, weights: Column, groups: NDArray[np.intp], coefficients: Column) -> float:
    """Return the squared error for each stretch by the coefficients that had not its group."""
    left_out = coefficients[1:][groups]
    return float((weights * (1.0 - (rows * left_out).sum(axis=1)) ** 2).sum())
