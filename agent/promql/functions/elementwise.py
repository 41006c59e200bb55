"""Functions that give a new value for each value of a vector."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from math import copysign, inf, isfinite, isnan, nan
from typing import Final

from agent.promql.arithmetic import divide, total_function
from agent.promql.functions.call import Build, Call
from agent.promql.run import Run, VectorExpr, nameless
from agent.promql.values import Vector


def _each(function: Callable[[float], float], call: Call) -> VectorExpr:
    """Apply a function of one value."""
    vector = call.vector(0).at

    def at(run: Run, time: int) -> Vector:
        found = vector(run, time)
        return nameless(run, found.labels, [*map(function, found.values)])

    return VectorExpr(at)


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    """Return a logarithm that knows the one of zero."""

    def answer(value: float) -> float:
        if value == 0:
            return -inf
        return function(value) if value > 0 else nan

    return answer


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    """Return a rounding that leaves infinities and NaN and the sign of zero."""
    return lambda value: copysign(float(function(value)), value) if isfinite(value) else value


def _sign(value: float) -> float:
    """Return -1, 1, or what is neither."""
    if value < 0:
        return -1.0
    return 1.0 if value > 0 else value


def _inverse_hyperbolic_tangent(value: float) -> float:
    """Return atanh, infinite at its poles."""
    if abs(value) == 1:
        return copysign(inf, value)
    return math.atanh(value) if abs(value) < 1 else nan


_FUNCTIONS: Final[Mapping[str, Callable[[float], float]]] = {
    "abs": abs,
    "ceil": _whole(math.ceil),
    "floor": _whole(math.floor),
    "exp": lambda value: inf if value > 709.79 else math.exp(value),  # noqa: PLR2004 - ln(max)
    "sqrt": total_function(math.sqrt),
    "ln": _logarithm(math.log),
    "log2": _logarithm(math.log2),
    "log10": _logarithm(math.log10),
    "sgn": _sign,
    "sin": total_function(math.sin),
    "cos": total_function(math.cos),
    "tan": total_function(math.tan),
    "asin": total_function(math.asin),
    "acos": total_function(math.acos),
    "atan": math.atan,
    "sinh": total_function(math.sinh),
    "cosh": lambda value: total_function(math.cosh)(abs(value)),
    "tanh": math.tanh,
    "asinh": math.asinh,
    "acosh": total_function(math.acosh),
    "atanh": _inverse_hyperbolic_tangent,
    "rad": lambda value: value * math.pi / 180.0,
    "deg": lambda value: value * 180.0 / math.pi,
}


def _round(call: Call) -> VectorExpr:
    """`round`: to the nearest multiple, halves up."""
    vector = call.vector(0).at
    nearest = call.scalar(1).at if len(call) > 1 else None

    def at(run: Run, time: int) -> Vector:
        found = vector(run, time)
        # Multiplying by the inverse, as Prometheus does, rounds 0.1 where dividing does not.
        inverse = 1.0 if nearest is None else divide(1.0, nearest(run, time))

        def rounded(value: float) -> float:
            scaled = value * inverse + 0.5
            return divide(math.floor(scaled) if isfinite(scaled) else scaled, inverse)

        return nameless(run, found.labels, [*map(rounded, found.values)])

    return VectorExpr(at)


def _clamp(call: Call, low: int | None, high: int | None) -> VectorExpr:
    """`clamp`, `clamp_min`, `clamp_max`: empty where the limits exclude each other."""
    vector = call.vector(0).at
    lowest = None if low is None else call.scalar(low).at
    highest = None if high is None else call.scalar(high).at

    def at(run: Run, time: int) -> Vector:
        floor = -inf if lowest is None else lowest(run, time)
        ceiling = inf if highest is None else highest(run, time)
        found = vector(run, time)
        if ceiling < floor:
            return Vector([], [])
        if isnan(floor) or isnan(ceiling):
            return nameless(run, found.labels, [nan] * len(found))
        # A NaN as first argument passes through both.
        values = [min(max(value, floor), ceiling) for value in found.values]
        return nameless(run, found.labels, values)

    return VectorExpr(at)


TABLE: Final[Mapping[str, Build]] = {
    **{name: partial(_each, function) for name, function in _FUNCTIONS.items()},
    "round": _round,
    "clamp": lambda call: _clamp(call, 1, 2),
    "clamp_min": lambda call: _clamp(call, 1, None),
    "clamp_max": lambda call: _clamp(call, None, 1),
}
