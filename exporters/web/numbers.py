"""Sizes, times and intervals as the page writes them; see also `agent.report.words`."""

from collections.abc import Mapping
from typing import Any, Final

from agent.report.words import count, days, money, whole

__all__ = ["between", "count", "days", "lasted", "money", "quick", "size", "whole"]

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024.0
_LONG: Final = 100.0
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_FINE: Final = 10


def size(value: float) -> str:
    """Return a number of bytes."""
    scaled, unit = value, _UNITS[0]
    for following in _UNITS[1:]:
        if abs(scaled) < _STEP:
            break
        scaled, unit = scaled / _STEP, following
    return f"{scaled:.0f} {unit}" if unit == "B" or abs(scaled) >= _LONG else f"{scaled:.3g} {unit}"


def lasted(seconds: float) -> str:
    """Return how long something lasts, in two units at most."""
    total = max(0, round(seconds))
    if total < _MINUTE:
        return f"{total} s"
    if total < _HOUR:
        return _pair(total // _MINUTE, "min", total % _MINUTE, "s")
    total //= _MINUTE
    if total * _MINUTE < 2 * _DAY:
        return _pair(total // _MINUTE, "h", total % _MINUTE, "min")
    total //= _MINUTE
    return _pair(total // 24, "days", total % 24, "h")


def _pair(large: int, unit: str, small: int, further: str) -> str:
    """Return two units; the smaller one where it still says something."""
    return f"{large} {unit} {small} {further}" if small and large < _FINE else f"{large} {unit}"


def quick(seconds: float) -> str:
    """Return a latency."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < _MINUTE else lasted(seconds)


def between(found: Mapping[str, Any]) -> str:
    """Return when something is foreseen, with the interval of 90 %."""
    low, estimate, high = (found[f"{bound}_seconds"] for bound in ("low", "estimate", "high"))
    end = f"to {lasted(high)}" if high is not None else "or much later"
    return f"in about {lasted(estimate)} (with 90 %: {lasted(low)} {end})"
