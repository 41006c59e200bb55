"""Columns of decimal numbers: most of what is measured has a few digits after the point.

Milliwatts, percent, bytes, milliseconds of a tick and everything that is counted are whole numbers
once the point is moved, and neighbours in time differ by little. So a column is the places by which
the point was moved, the first number, and the differences in as few bytes as the largest needs.
After "ALP: Adaptive Lossless Floating-Point Compression" (Afroozeh, Kuffó, Boncz, 2023), which
moves the point for the same reason.

    exponent   uint8   by how many places the point is moved
    width      uint8   bytes of a difference, 0 where all are the same
    deflated   uint8   whether the differences are
    first      int64   the first number
    least      int64   the smallest difference, which is taken away from each
    checksum   uint32  CRC-32 of what follows
    differences        byte position by byte position if deflated, else one after the other
"""

import struct
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

_HEAD: Final = struct.Struct("<BBBqqI")
_MOST_PLACES: Final = 9
_EXACT: Final = 2.0**53
"""Whole numbers below it are floats; so quotients by a power of ten are rounded once."""

_SCALES: Final = np.array([10.0**places for places in range(_MOST_PLACES + 1)])

_WORTH: Final = 0.8  # deflating takes time to undo, so it must save more than a little
_TRIES: Final = 4


def pack(columns: NDArray[np.float64]) -> list[bytes | None]:
    """Return the bytes of columns, None for one that is not of decimal numbers.

    Together they cost a third of what each would alone.

    Args:
        columns: a row each, of at least two values.
    """
    found: list[bytes | None] = [None] * len(columns)
    rows = np.arange(len(columns))
    largest = np.abs(columns).max(axis=1)
    looked_at = columns[:, (0, columns.shape[1] // 2, -1)].tolist()
    exponents = np.array([max(map(_places, values)) for values in looked_at], np.int64)
    for _try in range(_TRIES):
        taken = exponents <= _MOST_PLACES
        rows, exponents = rows[taken], exponents[taken]
        # So written that it refuses NaN, too.
        with np.errstate(over="ignore", invalid="ignore"):
            taken = largest[rows] * _SCALES[exponents] < _EXACT
        rows, exponents = rows[taken], exponents[taken]
        if not len(rows):
            break
        values, scales = columns[rows], _SCALES[exponents][:, None]
        numbers = np.rint(values * scales).astype(np.int64)
        # As bits: minus zero would come back as zero.
        wrong = (numbers / scales).view(np.int64) != values.view(np.int64)
        odd = wrong.any(axis=1)
        right = ~odd
        if right.any():
            _pack(found, rows[right], exponents[right], numbers[right])
        further = values[odd, wrong[odd].argmax(axis=1)].tolist()
        places = np.array([*map(_places, further)], np.int64)
        rows, exponents = rows[odd], np.maximum(exponents[odd] + 1, places)
    return found


def _places(value: float) -> int:
    """Return how many digits a number has after the point."""
    mantissa, _e, power = repr(value).partition("e")
    fraction = mantissa.partition(".")[2]
    digits = 0 if fraction == "0" else len(fraction)
    return max(0, digits - int(power or 0))


def _pack(
    found: list[bytes | None],
    rows: NDArray[np.intp],
    exponents: NDArray[np.int64],
    numbers: NDArray[np.int64],
) -> None:
    """Put the bytes of whole numbers into their places."""
    differences = np.diff(numbers, axis=1)
    least = differences.min(axis=1)
    differences -= least[:, None]
    largest = differences.max(axis=1).tolist()
    one_by_one = differences.astype("<i8", copy=False).view(np.uint8).reshape(*differences.shape, 8)
    shuffled = np.ascontiguousarray(one_by_one.transpose(0, 2, 1))
    heads = zip(exponents.tolist(), numbers[:, 0].tolist(), least.tolist(), strict=True)
    for at, (row, (exponent, first, smallest)) in enumerate(zip(rows.tolist(), heads, strict=True)):
        width = (largest[at].bit_length() + 7) // 8
        raw = shuffled[at, :width].tobytes()
        body = zlib.compress(raw, 1)
        deflated = len(body) < len(raw) * _WORTH
        if not deflated:
            body = one_by_one[at, :, :width].tobytes()
        head = _HEAD.pack(exponent, width, deflated, first, smallest, zlib.crc32(body))
        found[row] = head + body


def unpack(data: bytes, count: int) -> bytes | None:
    """Return the bytes of the `count` floats in a column, None where it is damaged."""
    try:
        exponent, width, deflated, first, least, checksum = _HEAD.unpack_from(data)
    except struct.error:
        return None
    body = data[_HEAD.size :]
    size = (count - 1) * width
    if zlib.crc32(body) != checksum or width > 8 or exponent > _MOST_PLACES:  # noqa: PLR2004
        return None
    raw = _inflated(body, size) if deflated else body
    if raw is None or size < 0 or len(raw) != size:
        return None
    numbers = np.empty(count, np.int64)
    numbers[0] = first
    differences = (_joined if deflated else _cut)(raw, width, count - 1)
    np.add(differences, least, out=numbers[1:])
    np.add.accumulate(numbers, out=numbers)
    found: bytes = (numbers / 10.0**exponent).tobytes()
    return found


def _joined(raw: bytes, width: int, count: int) -> NDArray[np.int64]:
    """Return whole numbers of so many bytes, written byte position by byte position."""
    wide = np.zeros((count, 8), np.uint8)
    wide[:, :width] = np.frombuffer(raw, np.uint8).reshape(width, count).T
    return wide.view("<i8")[:, 0]


def _cut(raw: bytes, width: int, count: int) -> NDArray[np.int64]:
    """Return whole numbers of so many bytes, written one after the other.

    Eight bytes are read for each, and those of its neighbours masked out.
    """
    wide = np.ndarray((count,), "<i8", raw + bytes(8), 0, (width,))
    return wide & ((1 << 8 * width) - 1 if width < 8 else -1)  # noqa: PLR2004


def _inflated(body: bytes, size: int) -> bytes | None:
    """Return inflated bytes, None where they are damaged; bounded, whatever they claim to be."""
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(body, size + 1)
    except zlib.error:
        return None
    return raw if inflater.eof else None
