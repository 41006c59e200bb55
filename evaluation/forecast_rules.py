"""The shipped rules about what runs out, evaluated over what was foreseen in one scenario.

They say the same as `agent/alerts/rules/forecast.yml`: a warning is what fires there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean
from typing import Final

from agent.analysis.forecasts import kv
from agent.analysis.forecasts.passage import Interval

SOON: Final[Mapping[str, float]] = {
    "kv": kv.SOON,
    "preemption": 60.0,
    "device_memory": 1800.0,
    "host_memory": 1800.0,
}
"""Seconds ahead that a warning means, by what runs out.

Of the KV cache the probability of that is asked for, of all others whether the estimate is below.
"""

SURE: Final = 0.8
"""Probability of exhaustion that is a warning in any case."""

LIKELY: Final = 0.4
"""Probability that is one where the cache is filled."""

RECENT: Final = 60
"""Seconds of usage that tell whether it is."""

FILLED: Final = 0.25
"""Usage of the KV cache above which it is, in the mean of that time."""

FOR: Final[Mapping[str, float]] = {
    "kv": 0.0,
    "preemption": 0.0,
    "device_memory": 30.0,
    "host_memory": 30.0,
}
"""Seconds for which it must have been so before the rule fires."""

KEPT: Final[Mapping[str, float]] = {
    "kv": 300.0,
    "preemption": 60.0,
    "device_memory": 120.0,
    "host_memory": 120.0,
}
"""Seconds for which the rule goes on firing after it was so last."""

_STEP: Final = 1.5  # seconds from one tick to the next, and some


@dataclass(slots=True)
class Run:
    """What was foreseen in one scenario, and what came.

    Attributes:
        name: of the scenario.
        seconds: that it lasted.
        ends: by what runs out, when it did.
        foreseen: likewise, time and interval where there was one.
        lasting: likewise, when it began to last.
        trend: when what exhausts it began; NaN for nothing.
        usage: usage of the KV cache, by second.
        soon: probability that it is exhausted soon, by second; NaN where unknown.
        whole: whether it is a day of usual load.
    """

    name: str
    seconds: float
    ends: dict[str, list[float]]
    foreseen: dict[str, list[tuple[float, Interval]]]
    lasting: dict[str, float]
    trend: float
    usage: Sequence[float]
    soon: Sequence[float]
    whole: bool


def firing(run: Run, what: str) -> list[float]:
    """Return the seconds at which the rule about one kind of exhaustion fires, ascending.

    Those for which it goes on after its expression held last are not among them.
    """
    found: list[float] = []
    since = last = -inf
    for time in _holding(run, what):
        if time - last > _STEP:
            since = time
        last = time
        kept = found and time - found[-1] <= KEPT[what]
        if kept or time - since >= FOR[what]:
            found.append(time)
    return found


def _holding(run: Run, what: str) -> list[float]:
    """Return the seconds at which the expression of the rule holds, ascending."""
    if what == "kv":
        return [
            float(second)
            for second, chance in enumerate(run.soon, start=1)
            if chance >= SURE or (chance >= LIKELY and _filled(run, second))
        ]
    near = [time for time, interval in run.foreseen[what] if interval.estimate < SOON[what]]
    if what == "preemption":
        sooner = {time for time, _interval in run.foreseen["kv"]}
        near = [time for time in near if time not in sooner]
    return near


def _filled(run: Run, second: int) -> bool:
    """Return whether the KV cache is filled, and has been for a while."""
    return fmean(run.usage[max(second - RECENT, 0) : second]) > FILLED
