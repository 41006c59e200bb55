"""A moment as people write it, on a command line or in a request."""

from datetime import UTC, datetime
from typing import Final

# The calendar of `datetime`, the years 1 to 9999. Milliseconds of our days are beyond it.
_BEGIN: Final = -62_135_596_800.0
END: Final = 253_402_300_800.0
"""Unix seconds from which on there is no date."""


def unix_seconds(text: str) -> float:
    """Return a moment such as 1795249260 or 2026-11-21T08:21Z in Unix seconds; without a zone, UTC.

    Raises:
        ValueError: it is none, or none that has a date.
    """
    try:
        seconds = float(text)
    except ValueError:
        found = datetime.fromisoformat(text)
        seconds = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if not _BEGIN <= seconds < END:
        raise ValueError(text)
    return seconds
