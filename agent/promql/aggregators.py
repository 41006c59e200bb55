"""What the aggregation operators make of the values of one group."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from math import inf, isfinite, isnan, sqrt
from typing import Final

from agent.promql.numeric import highest, lowest, mean, total, variance

SIMPLE: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "sum": total,
    "avg": mean,
    "min": lowest,
    "max": highest,
    "count": lambda values: float(len(values)),
    "group": lambda _: 1.0,
    "stdvar": variance,
    "stddev": lambda values: sqrt(variance(values)),
}


def foremost(values: Sequence[float], places: Sequence[int], count: int, *, top: bool) -> list[int]:
    """Return the places of the highest or lowest values in order, NaN last, ties as they came."""
    sign = -1.0 if top else 1.0
    keys = {p: inf if isnan(values[p]) else sign * values[p] for p in places}
    ordered = sorted(places, key=lambda place: (isnan(values[place]), keys[place]))
    return ordered[:count]


def written(value: float) -> str:
    """Return a number as `count_values` writes it: the shortest digits, never an exponent."""
    if not isfinite(value):
        return "NaN" if isnan(value) else ("+Inf" if value > 0 else "-Inf")
    digits = format(Decimal(repr(value)), "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
