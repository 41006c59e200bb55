"""Numbers as people read them, in the forms that Prometheus gives them."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent.alerts.errors import TemplateError
from agent.alerts.template.values import number, special, text

_LARGE: Final = "kMGTPEZY"
_SMALL: Final = "munpfazy"
_BINARY: Final = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_THOUSAND: Final = 1000.0
_KIBI: Final = 1024.0


def short(value: float) -> str:
    """Return a number in four digits."""
    return special(value) or f"{value:.4g}"


def _downscaled(value: float) -> tuple[float, str]:
    """Return a number under 1 in the largest unit in which it is not."""
    prefix = ""
    for name in _SMALL:
        if abs(value) >= 1:
            break
        prefix = name
        value *= _THOUSAND
    return value, prefix


def humanize(given: Any) -> str:
    """Return a number with a metric prefix."""
    value = number(given)
    if value == 0 or not math.isfinite(value):
        return short(value)
    prefix = ""
    if abs(value) < 1:
        value, prefix = _downscaled(value)
    else:
        for name in _LARGE:
            if abs(value) < _THOUSAND:
                break
            prefix = name
            value /= _THOUSAND
    return short(value) + prefix


def humanize_1024(given: Any) -> str:
    """Return a number with a binary prefix."""
    value = number(given)
    if abs(value) <= 1 or not math.isfinite(value):
        return short(value)
    prefix = ""
    for name in _BINARY:
        if abs(value) < _KIBI:
            break
        prefix = name
        value /= _KIBI
    return short(value) + prefix


def humanize_duration(given: Any) -> str:
    """Return seconds as days, hours, minutes and seconds, or as parts of a second."""
    value = number(given)
    if not math.isfinite(value):
        return short(value)
    if value == 0:
        return short(value) + "s"
    if abs(value) < 1:
        value, prefix = _downscaled(value)
        return f"{short(value)}{prefix}s"
    sign, value = ("-", -value) if value < 0 else ("", value)
    minutes, seconds = divmod(int(value), 60)
    if not minutes:
        return f"{sign}{short(value)}s"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    first = next(place for place, (count, _unit) in enumerate(parts) if count)
    return sign + " ".join(f"{count}{unit}" for count, unit in parts[first:])


def humanize_percentage(given: Any) -> str:
    """Return a ratio in percent."""
    return short(number(given) * 100) + "%"


def humanize_timestamp(given: Any) -> str:
    """Return Unix seconds as date and time, UTC."""
    value = number(given)
    return to_time(value) if math.isfinite(value) else short(value)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_time(given: Any) -> str:
    """Return Unix seconds as Go prints a time, milliseconds at most."""
    value = number(given)
    if not math.isfinite(value):
        raise TemplateError(f"{special(value)} cannot be represented as a time")
    # Towards zero, as Go divides.
    nanoseconds = int(value * 1e9)
    milliseconds = abs(nanoseconds) // 10**6 * (1 if nanoseconds > 0 else -1)
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise TemplateError(f"{value:g} cannot be represented as a time") from None
    fraction = f".{moment.microsecond // 1000:03d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_DURATION: Final = re.compile(
    "".join(f"(?:([0-9]+){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms"))
)


def parse_duration(given: Any) -> float:
    """Return the seconds of a duration such as 1h30m.

    Raises:
        TemplateError: it is none.
    """
    written = text(given)
    if written == "0":
        return 0.0
    match = _DURATION.fullmatch(written)
    if match is None or not written:
        raise TemplateError(f'not a valid duration string: "{written}"')
    units = ("y", "w", "d", "h", "m", "s", "ms")
    return float(
        sum(
            int(count) * _UNITS[unit]
            for unit, count in zip(units, match.groups(), strict=True)
            if count
        )
    )
