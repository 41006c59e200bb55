"""Arithmetic on floats as Go and IEEE 754 have it: an answer always, never an exception."""

import math
import operator
from collections.abc import Callable
from math import copysign, inf, nan
from typing import Final


def divide(left: float, right: float) -> float:
    """Return the quotient; by zero an infinity, zero by zero NaN."""
    try:
        return left / right
    except ZeroDivisionError:
        if left == 0 or math.isnan(left):
            return nan
        return copysign(inf, left) * copysign(1.0, right)


def modulo(left: float, right: float) -> float:
    """Return the remainder with the sign of the dividend; NaN where there is none."""
    try:
        return math.fmod(left, right)
    except ValueError:
        return nan


def power(left: float, right: float) -> float:
    """Return the power; infinite on overflow, NaN where it is not real."""
    odd = math.isfinite(right) and right % 2 == 1
    try:
        return math.pow(left, right)
    except OverflowError:
        return -inf if left < 0 and odd else inf
    except ValueError:
        if left == 0:
            return copysign(inf, left) if odd else inf
        return nan


ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "%": modulo,
    "^": power,
    "atan2": math.atan2,
}

COMPARISON: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


def total_function(function: Callable[[float], float]) -> Callable[[float], float]:
    """Return a function of the math module that answers NaN or infinity instead of raising."""

    def answer(value: float) -> float:
        try:
            return function(value)
        except ValueError:
            return nan
        except OverflowError:
            return copysign(inf, value)

    return answer
