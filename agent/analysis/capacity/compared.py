"""Minutes in which latencies were seen, against what is reckoned for their load.

A percentile is that of all requests together. Minutes in which many are late are few, so the median
of the minutes' percentiles would be too low; and a minute of few requests tells hardly any.
"""

from collections.abc import Iterable, Sequence
from math import hypot, log, sqrt
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np

from agent.analysis.capacity.queueing import TAIL, Latencies
from agent.analysis.capacity.waits import Waits
from agent.analysis.window import Column

Which: TypeAlias = Literal["first", "inter"]
"""The time to first token, or the time per output token."""

RATIOS: Final[Column] = np.linspace(-0.6, 0.6, 25)
"""Logarithms of latencies against what is reckoned."""

PRIOR: Final[dict[Which, float]] = {"first": 70.0, "inter": 45.0}
"""Requests that count as if they had been as reckoned."""

UNKNOWN: Final[dict[Which, float]] = {"first": 0.25, "inter": 0.15}
"""Half width of what is reckoned where none was seen, as a logarithm."""

LEAST: Final[dict[Which, float]] = {"first": 0.08, "inter": 0.05}
"""The same where as many as one likes were seen, at other loads than that asked for."""

_ABSENT: Final[tuple[Any, ...]] = (None, 0.0, 0.0)  # in states of earlier versions
_DISTURBED: Final = 0.15  # logarithm of a mean gap, against the usual one, that is no model's fault


class Compared(NamedTuple):
    """A minute of even load.

    Attributes:
        time: Unix seconds of its end.
        rate: requests a second.
        gap: logarithm of the mean time between two tokens, seen against reckoned.
        first: requests, and how many of them waited longer for their first token than the
            percentile that is reckoned, by each of `RATIOS`.
        inter: likewise of the time per output token.
        reckoned: what was; None where nobody says.
        steps: seconds of a step without prompts, and with a long one, at the batch that was
            reckoned.
        load: rate against the limit of stability, as it was reckoned.
    """

    time: float
    rate: float
    gap: float
    first: tuple[float, ...]
    inter: tuple[float, ...]
    reckoned: Latencies | None = None
    steps: tuple[float, float] = (0.0, 0.0)
    load: float = 0.0

    def of(self, which: Which) -> tuple[float, ...]:
        """Return one of the two."""
        return self.first if which == "first" else self.inter

    def state(self) -> list[Any]:
        """Return it as what JSON can hold."""
        reckoned = None if self.reckoned is None else [*self.reckoned]
        return [
            *(self.time, self.rate, self.gap, [*self.first], [*self.inter]),
            *(reckoned, [*self.steps], self.load),
        ]

    def against(self, reckoned: Latencies, steps: tuple[float, float]) -> "Compared":
        """Return it against what is reckoned by another law."""
        if self.reckoned is None:
            return self
        first, inter, gap = (
            log(now / then)
            for now, then in (
                (reckoned.first_token, self.reckoned.first_token),
                (reckoned.inter_token, self.reckoned.inter_token),
                (reckoned.gap, self.reckoned.gap),
            )
        )
        return self._replace(
            gap=self.gap - gap,
            first=_moved(self.first, first),
            inter=_moved(self.inter, inter),
            reckoned=reckoned,
            steps=steps,
        )

    @classmethod
    def restore(cls, state: Sequence[Any]) -> "Compared":
        """Return what `state` was taken of.

        Raises:
            TypeError: something is no number.
            ValueError: likewise, or something is missing.
        """
        time, rate, gap, first, inter, *more = state
        reckoned, steps, load = [*more, *_ABSENT[len(more) :]]
        return cls(
            float(time),
            float(rate),
            float(gap),
            _kept(first),
            _kept(inter),
            None if reckoned is None else Latencies(*map(float, reckoned)),
            _two(steps),
            float(load),
        )


def beyond(seen: Waits, reckoned: Column, percentile: float) -> tuple[float, ...]:
    """Return how many were seen, and how many longer than a percentile by each of the ratios.

    Args:
        seen: latencies.
        reckoned: what they were reckoned to be, ascending.
        percentile: of these.
    """
    late = seen.beyond(reckoned, percentile * np.exp(RATIOS))
    return (seen.count, *late.tolist())


def usual_gap(minutes: Iterable[Compared]) -> float:
    """Return the weighted median of the mean gaps' logarithms, 0 of none."""
    known = sorted((one.gap, one.first[0] + one.inter[0]) for one in minutes)
    half = 0.5 * sum(weight for _gap, weight in known)
    reached = 0.0
    for gap, weight in known:
        reached += weight
        if reached >= half:
            return gap
    return 0.0


def factor(minutes: Sequence[Compared], which: Which, bears: float | None) -> float:
    """Return the logarithm of a percentile of all requests, seen against reckoned.

    Drawn towards none where it rests on little.

    Args:
        minutes: that were compared.
        which: of the latencies.
        bears: requests a second for which it is asked.
    """
    late = _together(minutes, which, bears)
    count = float(late[0])
    if count <= 0.0:
        return 0.0
    shares = -np.maximum(late[1:] / count, 1e-6)
    found = float(np.interp(TAIL - 1.0, shares, RATIOS))
    return found * count / (count + PRIOR[which])


def unsure(minutes: Sequence[Compared], which: Which, bears: float | None) -> float:
    """Return the half width of what that factor may be off by, as a logarithm.

    Args:
        minutes: that were compared.
        which: of the latencies.
        bears: requests a second for which it is asked.
    """
    count = float(_together(minutes, which, bears)[0])
    prior = PRIOR[which]
    return hypot(LEAST[which], UNKNOWN[which] * sqrt(prior / (count + prior)))


def _together(minutes: Sequence[Compared], which: Which, bears: float | None) -> Column:
    """Return the requests of all minutes, and those beyond each ratio.

    Minutes of a high load weigh more, and all of them less where the load that is asked for is far.
    A minute in which tokens took longer than usual was disturbed and is left out.
    """
    usual = usual_gap(minutes)
    some = [one for one in minutes if one.gap < usual + _DISTURBED]
    most = max((one.rate for one in some), default=0.0)
    if most <= 0.0:
        return np.zeros(1 + len(RATIOS))
    near = min(most / bears, 1.0) if bears else 1.0
    weights = near * np.array([one.rate / most for one in some]) ** 2
    return np.asarray(weights @ np.array([one.of(which) for one in some]))


def _moved(late: tuple[float, ...], by: float) -> tuple[float, ...]:
    """Return how many were late, by each ratio to a percentile that is longer by a logarithm."""
    return (late[0], *np.interp(RATIOS + by, RATIOS, late[1:]).tolist())


def _two(steps: Any) -> tuple[float, float]:
    """Return the two steps of a state; those of earlier versions have one, which is not used."""
    if isinstance(steps, float):
        return 0.0, 0.0
    bare, with_prompt = steps
    return float(bare), float(with_prompt)


def _kept(values: Sequence[Any]) -> tuple[float, ...]:
    """Return what `beyond` gave, of a state."""
    if len(values) != 1 + len(RATIOS):
        raise ValueError("expected a number for each ratio")
    return tuple(float(value) for value in values)
