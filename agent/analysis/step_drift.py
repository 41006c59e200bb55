"""How far a machine is from its law: steps of one load take longer at one time than at another.

A law is that of undisturbed steps. What other work takes away comes and goes over seconds and
minutes, so that scatter within a minute says too little of what the next minute will be like.
"""

from math import sqrt
from typing import Final, NamedTuple

import numpy as np

from agent.analysis.window import Column

MINUTE: Final = 60.0
"""Seconds over which the time of a step is averaged: as long as a load lasts, at least."""

FEWEST_MINUTES: Final = 3
"""Minutes below which nothing is known of how they differ."""


class Drift(NamedTuple):
    """What is known of the machine beside its law.

    Attributes:
        slowness: mean time of a step against that of the law.
        spread: standard deviation of the logarithm of a minute's mean step against the law's.
        minutes: in how many minutes the stretches lie.
    """

    slowness: float
    spread: float
    minutes: int


def drift_of(ratios: Column, weights: Column, times: Column, spans: Column) -> Drift:
    """Return what stretches of work tell of the machine.

    The variance between minutes is that beyond what the scatter within them explains (one-way
    analysis of variance of unequal groups, Searle, Casella & McCulloch 1992, ch. 3); of the scatter
    within, a minute's mean keeps what it does not average out.

    Args:
        ratios: time of a step against that of the law, of each stretch.
        weights: of each.
        times: Unix seconds of each.
        spans: seconds of work in each.
    """
    _which, at = np.unique((times // MINUTE).astype(np.int64), return_inverse=True)
    minutes, whole = int(at.max()) + 1, float(weights.sum())
    slowness = float(weights @ ratios) / whole
    free = len(ratios) - minutes
    if minutes < FEWEST_MINUTES or free < 1:
        return Drift(slowness, 0.0, minutes)
    logs = np.log(np.maximum(ratios, 1e-9))
    each = np.bincount(at, weights)
    mean = np.bincount(at, weights * logs) / each
    usual = whole / len(ratios)
    within = float(weights @ (logs - mean[at]) ** 2) / (free * usual)
    centre = float(each @ mean) / whole
    size = whole - float(each @ each) / whole
    between = (float(each @ (mean - centre) ** 2) - (minutes - 1) * within * usual) / size
    share = min(float(spans.mean()) / MINUTE, 1.0)
    return Drift(slowness, sqrt(max(between, 0.0) + share * within), minutes)
