"""Five minutes in four numbers: lowest, highest, mean and last value of a series.

Blob of up to sixteen series of one segment, deflated: the places in the group that are there,
then for each `count` (uint16), then for each minimum, maximum, mean, last (float64). A series
that did not change in the window repeats one number, which deflates to next to nothing.
"""

import math
import struct
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from agent.store.codec import DamagedError


class Part(IntEnum):
    """Which of the four numbers is wanted."""

    MIN = 0
    MAX = 1
    MEAN = 2
    LAST = 3


_PARTS: Final = len(Part)
_LARGEST: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class Summary:
    """What is kept of a series for a window.

    Attributes:
        count: samples that were numbers.
        parts: minimum, maximum, mean, last, as `Part` counts them.
    """

    count: int
    parts: tuple[float, float, float, float]


def summarise(columns: "Sequence[array[float]]") -> list[Summary | None]:
    """Return the summary of each column; None for one that holds no number.

    NaN, and so the end of a series, is left out: four numbers cannot say when it was there.
    """
    found: list[Summary | None] = [None] * len(columns)
    by_length: dict[int, list[int]] = {}
    for place, column in enumerate(columns):
        by_length.setdefault(len(column), []).append(place)
    for count, places in by_length.items():
        values = np.frombuffer(b"".join(columns[place] for place in places)).reshape(-1, count)
        with np.errstate(over="ignore", invalid="ignore"):
            means = values.mean(axis=1)
        parts = np.stack((values.min(axis=1), values.max(axis=1), means, values[:, -1]), axis=1)
        for place, four, mean in zip(places, parts.tolist(), means.tolist(), strict=True):
            plain = math.isfinite(mean)
            found[place] = Summary(count, tuple(four)) if plain else _odd(columns[place])
    return found


def _odd(values: Sequence[float]) -> Summary | None:
    """Return the summary of values with NaN or infinities among them, or of very large ones."""
    numbers = [value for value in values if not math.isnan(value)]
    if not numbers:
        return None
    parts = (min(numbers), max(numbers), _mean(numbers, sum(numbers)), numbers[-1])
    return Summary(len(numbers), parts)


def _mean(values: Sequence[float], total: float) -> float:
    """Return the mean; the sum of very large numbers may overflow where their mean does not."""
    count = len(values)
    if math.isinf(total) and not any(map(math.isinf, values)):
        return sum(value / count for value in values)
    return total / count


def pack(summaries: Mapping[int, Summary]) -> bytes:
    """Return the blob of the summaries, given by their place in the group."""
    places = sorted(summaries)
    counts = [summaries[place].count for place in places]
    numbers = [number for place in places for number in summaries[place].parts]
    size = len(places)
    raw = struct.pack(f"<B{size}B{size}H{_PARTS * size}d", size, *places, *counts, *numbers)
    return zlib.compress(raw, 1)


def unpack(blob: bytes) -> dict[int, Summary]:
    """Return the summaries by their place in the group.

    Raises:
        DamagedError: these are not the bytes that were written.
    """
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(blob, _LARGEST)
        size = raw[0]
        found = struct.unpack(f"<{size}B{size}H{_PARTS * size}d", raw[1:])
    except (zlib.error, struct.error, IndexError) as error:
        raise DamagedError(f"a summary that cannot be read: {error}") from None
    if not inflater.eof:
        raise DamagedError("a summary that is cut short")
    numbers = found[2 * size :]
    return {
        found[index]: Summary(found[size + index], numbers[_PARTS * index : _PARTS * (index + 1)])
        for index in range(size)
    }
