"""Parameters of the Prometheus API: times, durations, numbers, as Prometheus reads them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from multidict import MultiMapping

from agent.queries.asked import NoAnswerError, Trouble

_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DURATION: Final = re.compile(
    r"(?:([0-9]+)y)?(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?"
    r"(?:([0-9]+)ms)?"
)
_UNITS: Final = (31_536_000.0, 604_800.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)
# What Go's Prometheus clients send for no bound at all.
_EDGES: Final = {
    "-292273086-05-16T16:47:06Z": -1e12,
    "292277025-08-18T07:12:54.999999999Z": 1e12,
}
_LATEST: Final = 1e12
_LONGEST: Final = 9e9
_DIGITS: Final = 40


class Parameters:
    """The parameters of one request.

    Args:
        given: those of the address and of the body, each any number of times.
    """

    def __init__(self, given: MultiMapping[str]) -> None:
        self._given = given

    def text(self, name: str) -> str:
        """Return a parameter as it was given first, empty where it was not."""
        return self._given.get(name, "")

    def all(self, name: str) -> tuple[str, ...]:
        """Return a parameter each time that it was given."""
        return tuple(self._given.getall(name, ()))

    def moment(self, name: str) -> float | None:
        """Return a time in Unix seconds, None where there is none.

        Raises:
            NoAnswerError: it is no time.
        """
        text = self.text(name)
        if not text:
            return None
        return _or_refuse(name, f"invalid time value for '{name}': ", text, moment, "timestamp")

    def bound(self, name: str) -> float:
        """Return a time that there must be.

        Raises:
            NoAnswerError: there is none, or it is no time.
        """
        return _or_refuse(name, "", self.text(name), moment, "timestamp")

    def duration(self, name: str) -> float:
        """Return seconds that there must be.

        Raises:
            NoAnswerError: there are none.
        """
        return _or_refuse(name, "", self.text(name), duration, "duration")

    def duration_or(self, name: str, default: float) -> float:
        """Return seconds.

        Raises:
            NoAnswerError: it is no duration.
        """
        return self.duration(name) if self.text(name) else default

    def count(self, name: str) -> int:
        """Return a limit, 0 for none.

        Raises:
            NoAnswerError: it is no number.
        """
        text = self.text(name)
        if text and not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
            raise refused(name, "limit must be a number, and not negative")
        return int(text or 0)


def refused(name: str, why: str) -> NoAnswerError:
    """Return the error for a parameter."""
    return NoAnswerError(Trouble.BAD_DATA, f'invalid parameter "{name}": {why}')


def _or_refuse(
    name: str, before: str, text: str, convert: Callable[[str], float | None], what: str
) -> float:
    """Return what a text means.

    Raises:
        NoAnswerError: it means nothing.
    """
    found = convert(text)
    if found is None:
        shown = text[:200].replace("\\", "\\\\").replace('"', '\\"')
        raise refused(name, f'{before}cannot parse "{shown}" to a valid {what}')
    return found


def moment(text: str) -> float | None:
    """Return Unix seconds, of which milliseconds count; None for what is no time."""
    if text in _EDGES:
        return _EDGES[text]
    if _FLOAT.fullmatch(text):
        seconds = float(text)
        return seconds if abs(seconds) <= _LATEST else None
    if not _RFC3339.fullmatch(text):
        return None
    try:
        return (
            datetime.fromisoformat(text.upper()) - datetime.fromtimestamp(0, UTC)
        ).total_seconds()
    except (ValueError, OverflowError):
        return None


def duration(text: str) -> float | None:
    """Return seconds; None for what is no duration."""
    if _FLOAT.fullmatch(text):
        seconds = float(text)
        return seconds if abs(seconds) <= _LONGEST else None
    found = _DURATION.fullmatch(text)
    if found is None or not text or any(len(part or "") > _DIGITS for part in found.groups()):
        return None
    total = sum(int(part) * unit for part, unit in zip(found.groups(), _UNITS, strict=True) if part)
    return total if total <= _LONGEST else None
