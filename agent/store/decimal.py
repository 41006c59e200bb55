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
from array import array
from typing import Final

import numpy as np
from numpy.typing import NDArray

_HEAD: Final = struct.Struct("<BBBqqI")
_MOST_PLACES: Final = 9
_EXACT: Final = 2.0**53
"""Whole numbers below it are floats; so quotients by a power of ten are rounded once."""

_WORTH: Final = 0.8  # deflating takes time to undo, so it must save more than a little
_TRIES: Final = 4


def pack(column: "array[float]") -> bytes | None:
    """Return the bytes of a column of at least two values, None where they are not decimal."""
    values = np.frombuffer(column)
    largest = float(np.abs(values).max())
    exponent = max(map(_places, (column[0], column[len(column) // 2], column[-1])))
    for _try in range(_TRIES):
        if exponent > _MOST_PLACES:
            return None
        scale = 10.0**exponent
        # So written that it refuses NaN, too.
        if not largest * scale < _EXACT:
            return None
        numbers = np.rint(values * scale).astype(np.int64)
        # As bits: minus zero would come back as zero.
        wrong = (numbers / scale).view(np.int64) != values.view(np.int64)
        if not wrong.any():
            return _packed(exponent, numbers)
        exponent = max(exponent + 1, _places(column[int(wrong.argmax())]))
    return None


def _places(value: float) -> int:
    """Return how many digits a number has after the point."""
    mantissa, _e, power = repr(value).partition("e")
    fraction = mantissa.partition(".")[2]
    digits = 0 if fraction == "0" else len(fraction)
    return max(0, digits - int(power or 0))


def _packed(exponent: int, numbers: NDArray[np.int64]) -> bytes:
    """Return the bytes of whole numbers."""
    differences = np.diff(numbers)
    least = int(differences.min())
    differences -= least
    width = (int(differences.max()).bit_length() + 7) // 8
    raw = differences.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]
    body = zlib.compress(raw.T.tobytes(), 1)
    deflated = len(body) < raw.size * _WORTH
    if not deflated:
        body = raw.tobytes()
    checksum = zlib.crc32(body)
    return _HEAD.pack(exponent, width, deflated, int(numbers[0]), least, checksum) + body


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
