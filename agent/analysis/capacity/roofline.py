"""The roofline of an engine, from the stretches of work of which the mean step is known.

A step reads the weights and what its requests hold, and does the arithmetic of its tokens; the two
overlap (Williams, Waterman & Patterson 2009, Roofline), so a prompt is nearly free up to the knee
and costs its arithmetic beyond. A law that is linear in prompt tokens takes the mean of both for
the cost of each: it has steps without prompts too short where prompts are long, and what several
prompts in one step cost too dear. What a stretch tells is the mean over its steps, of which some
have prompts and most have none; how many, follows from how many prompts came.
"""

from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np

from agent.analysis.step_evidence import StepEvidence
from agent.analysis.window import Column

GROWN: Final = 256.0
"""Sequences up to which each makes the arithmetic of any longer, unless seen."""

_GROWTH: Final = 0.002  # of the arithmetic by each sequence
_PAYS: Final = 0.9  # of what half a batch serves, that a full one does at least
_HALVINGS: Final = 12
_LENGTHS: Final = 4  # of prompts that stand for all
_MISFIT: Final = 0.03  # relative; stretches of one load share what the form gets wrong
_WORSE: Final = 1.3  # mean square error against the learned law's, from which on it is not believed
_DRIFTS: Final = (0.04, 0.08)  # from minute to minute, up to which it is, and from which it is not
_LEAST: Final = 0.005  # relative error that no law is free of
_ROUNDS: Final = 12
_SHARES: Final = 4
_DONE: Final = 1e-4
_FURTHEST: Final = 1.0  # logarithm by which a coefficient changes in one round
_DAMPED: Final = (1e-3, 0.2, 10.0, 1e-6)  # at first, by success, by failure, at least
_TINY: Final = 1e-12

# What is assumed where stretches do not tell, as medians and standard deviations of logarithms.
_HOST: Final = (0.1, 1.0)  # host work of a step against the reading of the weights
_FULL: Final = (0.5, 1.3)  # reading a full KV cache likewise: both share one memory
_UNTOLD: Final = 3.0  # where nobody tells how much the cache holds: the learned law's slope
_GROWS: Final = 0.5  # growth of the arithmetic by each sequence, about `growth`
_FULL_STEPS: Final = 0.5  # arithmetic of a mean step against the whole, to begin with


@dataclass(frozen=True, slots=True)
class Roofline:
    """Seconds of a step: host + smooth maximum of reading and arithmetic (exponent 3).

    Reading is `weights + kv · K`, arithmetic `token · (P + D) + pair · D²`.

    Attributes:
        host: seconds of work that overlaps with nothing.
        weights: seconds of reading in an empty step.
        kv: and for each token held.
        token: seconds of arithmetic for each token.
        pair: and for each pair of sequences.
        share: how far it is believed where the learned law says otherwise, 0 to 1.
    """

    host: float
    weights: float
    kv: float
    token: float
    pair: float
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class _Loads:
    """What the steps of stretches have in them.

    Attributes:
        decode: sequences, shape (stretches, 1).
        kv: tokens held, likewise.
        tokens: prompt tokens of a step, none first, shape (stretches, 1 + lengths).
        shares: of the steps, likewise.
    """

    decode: Column
    kv: Column
    tokens: Column
    shares: Column


def roofline_of(
    evidence: StepEvidence,
    learned: tuple[float, ...],
    prompts: Column,
    *,
    budget: float,
    cache: float | None,
    seats: float | None = None,
) -> Roofline | None:
    """Return the roofline of an engine; None where the learned law is better or tells too little.

    Args:
        evidence: stretches of work.
        learned: coefficients of the law that was fitted to them, in the order of `step_fit.TERMS`.
        prompts: prompt tokens computed for a request, quantiles.
        budget: tokens of a step at most.
        cache: tokens that the KV cache holds; None where nobody tells.
        seats: as `growth` takes them.
    """
    if not (learned[0] > 0.0 and evidence.prefill.any()) or evidence.drift >= _DRIFTS[1]:
        return None
    loads = _loads(evidence, learned, prompts, budget)
    start, assumed, expected = _assumed(evidence, learned, cache, seats)
    found, times = _fitted(evidence, loads, start, assumed, expected)
    errors = 1.0 - times / evidence.seconds
    counted = evidence.weights
    misfit = float(counted @ errors**2) / max(float(counted.sum()), _TINY)
    # What fits as well is believed, as reading and arithmetic do overlap; what fits worse, less.
    share = (_WORSE - misfit / max(evidence.misfit, _LEAST**2)) / (_WORSE - 1.0)
    # Who comes waits while a machine is slow: then large batches are seen when steps are long for
    # another reason, and which form fits says nothing.
    steady = (_DRIFTS[1] - evidence.drift) / (_DRIFTS[1] - _DRIFTS[0])
    share = min(share, 1.0) * min(steady, 1.0)
    if share <= 0.0:
        return None
    host, weights, kv, token, pair = np.exp(found).tolist()
    return Roofline(host, weights, kv, token, pair, share)


def growth(seats: float | None, knee: float) -> float:
    """Return by how much each sequence makes the arithmetic of any longer, where nothing tells.

    Whoever sets the sequences of a batch allows no more than pay: a full batch serves at least
    nine tenths of what half of it would. Of the growth with which it serves just that, half.

    Args:
        seats: sequences that the batch may have; None where nobody tells.
        knee: sequences with which arithmetic takes as long as reading.
    """
    if seats is None:
        return _GROWTH
    full = min(max(seats, 1.0), GROWN)
    longer = 2.0 / _PAYS  # a full batch against half of it
    reading = (longer**3 - 1.0) * (knee / full) ** 3
    low, high = 0.0, 2.0 * _GROWTH * full
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if (1.0 + middle) ** 3 < (0.5 * longer * (1.0 + 0.5 * middle)) ** 3 + reading:
            low = middle
        else:
            high = middle
    return 0.5 * high / full


def _loads(
    evidence: StepEvidence, learned: tuple[float, ...], prompts: Column, budget: float
) -> _Loads:
    """Return what the steps of stretches have in them."""
    base, _prompt, sequence, kv, bend = learned
    decode, prefill, seconds = evidence.decode, evidence.prefill, evidence.seconds
    mean = np.full(len(seconds), float(prompts.mean()))
    known = (evidence.prompts > 0.0) & (prefill > 0.0)
    mean[known] = prefill[known] / evidence.prompts[known]
    bare = np.minimum(base + (sequence + bend * decode) * decode + kv * evidence.kv, seconds)
    share = _with_prompts(prefill / mean, bare / seconds, evidence)
    tokens = prefill / np.maximum(share, _TINY)
    # Of several in one step the sum is more even than each.
    each = np.array([part.mean() for part in np.array_split(np.sort(prompts), _LENGTHS)])
    apart = (each / each.mean() - 1.0) / np.sqrt(np.maximum(tokens / mean, 1.0))[:, None]
    room = np.maximum(budget - decode, 1.0)
    cut = np.minimum(tokens[:, None] * np.maximum(1.0 + apart, 0.0), room[:, None])
    # What a step has no room for is computed in further ones.
    share = np.minimum(share * tokens / np.maximum(cut.mean(axis=1), _TINY), 1.0)
    shares = np.repeat(share[:, None] / _LENGTHS, _LENGTHS, axis=1)
    return _Loads(
        decode=decode[:, None],
        kv=evidence.kv[:, None],
        tokens=np.hstack((np.zeros((len(cut), 1)), cut)),
        shares=np.hstack((1.0 - share[:, None], shares)),
    )


def _with_prompts(come: Column, bare: Column, evidence: StepEvidence) -> Column:
    """Return the share of the steps that compute prompts.

    What comes in a step is computed in the next. In a long one more come: steps with prompts follow
    each other, and are fewer than if prompts were spread over all steps by chance alone.

    Args:
        come: prompts, a step.
        bare: time of a step without prompts, against that of a mean one.
        evidence: of which it is.
    """
    share = -np.expm1(-come)
    after_bare = -np.expm1(-come * bare)
    for _ in range(_SHARES):
        long = np.maximum((1.0 - (1.0 - share) * bare) / np.maximum(share, _TINY), bare)
        after_long = -np.expm1(-come * long)
        share = after_bare / np.maximum(1.0 - after_long + after_bare, _TINY)
    return np.where(evidence.picked, 1.0, np.minimum(share, 1.0))


def _assumed(
    evidence: StepEvidence, learned: tuple[float, ...], cache: float | None, seats: float | None
) -> tuple[Column, Column, Column]:
    """Return where to begin, and what is assumed of the logarithms of the coefficients.

    Returns:
        The logarithms; rows of weights on them, shape (3, 5); and what these should come to.
    """
    base, prompt, sequence, kv, _bend = learned
    most = float(evidence.kv.max())
    if most <= 0.0:
        reading = base * _TINY
    elif cache is not None:
        reading = _FULL[0] * base / cache
    else:
        held = sequence * float(evidence.decode.max()) + kv * most
        reading = max(held / most, 1e-7 * base)
    if not prompt > 0.0:
        # Where every step is full, a line cannot tell its tokens from what it takes without any.
        prompt = _FULL_STEPS * base / float((evidence.prefill + evidence.decode).mean())
    grows = growth(seats, base / prompt)
    start = np.log([_HOST[0] * base, base, reading, prompt, grows * prompt])
    rows = np.zeros((3, 5))
    rows[0, :2] = 1.0, -1.0
    rows[1, 1:3] = -1.0, 1.0
    rows[2, 3:] = -1.0, 1.0
    told = cache is not None and most > 0.0
    if not told:
        rows[1, 1] = 0.0
    apart = np.array([_HOST[1], _FULL[1] if told else _UNTOLD, _GROWS])
    rows /= apart[:, None]
    wanted = np.array([log(_HOST[0]), start[2] - (start[1] if told else 0.0), log(grows)])
    return start, rows, wanted / apart


def _fitted(
    evidence: StepEvidence, loads: _Loads, start: Column, assumed: Column, expected: Column
) -> tuple[Column, Column]:
    """Return the logarithms of the coefficients, and the seconds of a step of each stretch.

    Least squares of relative errors, by Levenberg and Marquardt's method.
    """
    weights = np.sqrt(evidence.weights) / max(evidence.residual, _MISFIT)

    def errors(at: Column) -> tuple[Column, Column, Column]:
        times, slopes = _times(at, loads)
        own = weights * (1.0 - times / evidence.seconds)
        rows = -(weights / evidence.seconds)[:, None] * slopes
        return (
            np.concatenate((own, assumed @ at - expected)),
            np.vstack((rows, assumed)),
            times,
        )

    at = start
    left, rows, times = errors(at)
    cost = float(left @ left)
    damped, better, worse, least = _DAMPED
    for _ in range(_ROUNDS):
        square = rows.T @ rows
        square += damped * np.diag(np.diag(square) + 1e-6)
        trial = at - np.clip(np.linalg.solve(square, rows.T @ left), -_FURTHEST, _FURTHEST)
        tried = errors(trial)
        now = float(tried[0] @ tried[0])
        if not now < cost:
            damped *= worse
            continue
        at, (left, rows, times) = trial, tried
        done, cost, damped = cost - now < _DONE * cost, now, max(better * damped, least)
        if done:
            break
    return at, times


def _times(at: Column, loads: _Loads) -> tuple[Column, Column]:
    """Return the mean seconds of a step, and its slopes by the logarithms of the coefficients."""
    host, weights, kv, token, pair = np.exp(at).tolist()
    decode = loads.decode
    reading = weights + kv * loads.kv
    tokens = loads.tokens + decode
    arithmetic = token * tokens + pair * decode**2
    together = np.cbrt(reading**3 + arithmetic**3)
    by_reading = (loads.shares * (reading / together) ** 2).sum(axis=1)
    by_arithmetic = loads.shares * (arithmetic / together) ** 2
    slopes = np.stack(
        (
            np.full(len(decode), host),
            weights * by_reading,
            kv * loads.kv[:, 0] * by_reading,
            token * (by_arithmetic * tokens).sum(axis=1),
            pair * decode[:, 0] ** 2 * by_arithmetic.sum(axis=1),
        ),
        axis=1,
    )
    return host + (loads.shares * together).sum(axis=1), slopes
