"""Latencies of a fleet from its histograms, whatever buckets its engines have."""

from collections.abc import Mapping, Sequence

import numpy as np

from agent.report.grid import Column, unknown
from agent.report.tail import Matrix, Tail


def tail_of(
    by_bound: Mapping[tuple[str, ...], Column], *, step: float, minutes: int
) -> Tail | None:
    """Return the latencies that cumulative buckets, summed over hosts, tell; None without any.

    A bound that not all hosts have counts too little, and shows it by falling below the bound
    under it: such bounds are left out, which loses detail and nothing else.

    Args:
        by_bound: observations a second up to each bound, in each window; by the label `le`.
        step: seconds of a window.
        minutes: minutes of the report, of which nothing is known here.
    """
    summed: dict[float, Column] = {}
    for (le,), column in by_bound.items():
        bound = _number(le)  # `1` and `1.0` are one
        if bound is None:
            continue
        summed[bound] = _plus(summed[bound], column) if bound in summed else column
    if float("inf") not in summed:
        return None
    bounds = sorted(summed)
    reached = np.stack([summed[bound] for bound in bounds], axis=1)
    kept = _rising(reached)
    reached = reached[:, kept]
    counted = reached * step
    counted[:, 1:] -= reached[:, :-1] * step
    return Tail(
        np.array([bounds[place] for place in kept]), np.maximum(counted, 0.0), unknown(minutes)
    )


def _number(text: str) -> float | None:
    """Return a bound, None for what is none."""
    try:
        bound = float(text)
    except ValueError:
        return None
    return None if np.isnan(bound) else bound


def _plus(one: Column, other: Column) -> Column:
    """Return the sum of two columns; what only one knows is that."""
    both: Column = np.where(np.isnan(one), other, np.where(np.isnan(other), one, one + other))
    return both


def _rising(reached: Matrix) -> list[int]:
    """Return the places of the bounds at which no less is reached than below, nor more than in all.

    The last, which has no bound, is always one of them.
    """
    *below, whole = np.nansum(reached, axis=0).tolist()
    found: list[int] = []
    highest = 0.0
    for place, total in enumerate(below):
        if highest * (1 - 1e-9) <= total <= whole * (1 + 1e-9):
            found.append(place)
            highest = max(highest, total)
    return [*found, len(below)]


def alike(tails: Sequence[Tail]) -> list[Tail]:
    """Return latencies with the bounds that all of them have, so that they can be added."""
    if not tails:
        return []
    shared = set(tails[0].bounds.tolist()).intersection(*(one.bounds.tolist() for one in tails))
    return [_coarser(one, shared) for one in tails]


def _coarser(tail: Tail, shared: set[float]) -> Tail:
    """Return latencies with some of their bounds; exact, because buckets only merge."""
    places = [place for place, bound in enumerate(tail.bounds.tolist()) if bound in shared]
    if len(places) == len(tail.bounds):
        return tail
    reached = np.cumsum(tail.each, axis=1)[:, places]
    each = np.diff(reached, axis=1, prepend=0.0)
    return Tail(tail.bounds[places], each, tail.minute)
