"""Numbers and times as Prometheus's API writes them.

Values are strings, since JSON has no NaN: Go's `strconv.FormatFloat` with the shortest digits that
give the same number, in the format `f`, for samples outside [1e-6, 1e21) in the format `e`.
"""

from decimal import Decimal
from typing import Final

_LEAST: Final = 1e-6
_MOST: Final = 1e21


def sample_text(value: float) -> str:
    """Return the value of a sample."""
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2]
    if "e" in text:
        return text if not _LEAST <= abs(value) < _MOST else _plain(text)
    return _special(value) if "n" in text else text


def scalar_text(value: float) -> str:
    """Return a number that is no sample: never with an exponent."""
    text = repr(value)
    if "e" in text:
        return _plain(text)
    return sample_text(value)


def exponent_text(value: float) -> str:
    """Return the value of an alert: always with an exponent."""
    if value != value or abs(value) == float("inf"):  # noqa: PLR0124 - only NaN differs from itself
        return _special(value)
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    shown = "".join(map(str, digits)).rstrip("0") or "0"
    power = int(exponent) + len(digits) - 1 if value else 0
    point = "." if len(shown) > 1 else ""
    return f"{'-' if sign else ''}{shown[0]}{point}{shown[1:]}e{power:+03d}"


def _plain(text: str) -> str:
    """Return a number without its exponent."""
    return format(Decimal(text), "f")


def _special(value: float) -> str:
    """Return what is no number."""
    if value != value:  # noqa: PLR0124 - only NaN differs from itself
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"


def seconds_text(moment: int) -> str:
    """Return milliseconds since the epoch as seconds: whole, or with three digits."""
    sign, size = ("-", -moment) if moment < 0 else ("", moment)
    whole, rest = divmod(size, 1000)
    return f"{sign}{whole}.{rest:03d}" if rest else f"{sign}{whole}"
