"""The grid of the season: buckets of five minutes, days and weeks in UTC, from Monday on."""

from typing import Final

MINUTE: Final = 60.0
BUCKET: Final = 300.0
"""Seconds of one mean; the history keeps windows of that length for months."""

SLOTS: Final = 288
"""Buckets of a day."""

WEEK: Final = 7 * SLOTS
"""Buckets of a week."""

_MONDAY: Final = 3 * SLOTS  # Unix time began on a Thursday


def bucket_of(time: float) -> int:
    """Return the number of the bucket that a moment in Unix seconds is in."""
    return int(time // BUCKET)


def week_of(bucket: int) -> int:
    """Return the number of the week of a bucket."""
    return (bucket + _MONDAY) // WEEK


def week_begin(week: int) -> int:
    """Return the number of the first bucket of a week."""
    return week * WEEK - _MONDAY


def place_of(bucket: int) -> int:
    """Return the place of a bucket in its week."""
    return (bucket + _MONDAY) % WEEK
