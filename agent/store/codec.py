"""Columns of floats as bytes: bit for bit the same after a round trip, whatever NaN is in it.

Most columns are decimal numbers, see `agent.store.decimal`. Of the others, neighbours in time share
their sign, exponent and first digits, so such a column is written byte position by byte position
(shuffled) and deflated at its cheapest level. Both directions are slices and calls into C; a column
that never changes is one number.
"""

import zlib
from array import array
from collections.abc import Sequence
from typing import Final

import numpy as np

from agent.model import InferwatchError
from agent.store import decimal

WIDTH: Final = 8
"""Bytes of a float."""

_SAME: Final = b"\x00"
_PLAIN: Final = b"\x01"
_SHUFFLED: Final = b"\x02"
_DECIMAL: Final = b"\x03"


class DamagedError(InferwatchError):
    """Bytes are not what the history wrote."""


def encode(columns: "Sequence[array[float]]") -> list[bytes]:
    """Return the bytes of each column; all have as many values, at least one."""
    count = len(columns[0])
    values = np.frombuffer(b"".join(columns)).reshape(-1, count)
    bits = values.view(np.int64)
    moving = np.nonzero((bits != bits[:, :1]).any(axis=1))[0]
    decimals = dict(zip(moving.tolist(), decimal.pack(values[moving]), strict=True))
    return [
        _one(column.tobytes(), decimals[place]) if place in decimals else _same(column)
        for place, column in enumerate(columns)
    ]


def _same(column: "array[float]") -> bytes:
    """Return the bytes of a column whose values are all the same."""
    return _SAME + column[:1].tobytes()


def _one(raw: bytes, decimals: bytes | None) -> bytes:
    """Return the bytes of a column, given its floats, and as decimal numbers if it is of those."""
    if decimals is not None and len(decimals) < len(raw):
        return _DECIMAL + decimals
    shuffled = b"".join([raw[place::WIDTH] for place in range(WIDTH)])
    deflated = zlib.compress(shuffled, 1)
    return _SHUFFLED + deflated if len(deflated) < len(raw) else _PLAIN + raw


def decode(data: bytes, count: int) -> "array[float]":
    """Return the column of `count` values that these bytes hold.

    Raises:
        DamagedError: they do not.
    """
    tag, body = data[:1], data[1:]
    column = array("d")
    raw: bytes | bytearray
    if tag == _SAME:
        raw = body * count
    elif tag == _PLAIN:
        raw = body
    elif tag == _SHUFFLED:
        raw = _unshuffled(body, count)
    elif tag == _DECIMAL:
        raw = decimal.unpack(body, count) or b""
    else:
        raise DamagedError("a column of an unknown kind")
    if len(raw) != count * WIDTH:
        raise DamagedError(f"a column of {len(raw)} bytes where {count} numbers should be")
    column.frombytes(raw)
    return column


def _unshuffled(body: bytes, count: int) -> bytes | bytearray:
    """Return the bytes in their order again."""
    size = count * WIDTH
    inflater = zlib.decompressobj()
    try:
        # Bounded: damaged bytes must not unpack into gigabytes.
        shuffled = inflater.decompress(body, size + 1)
    except zlib.error as error:
        raise DamagedError(f"a column that cannot be inflated: {error}") from None
    # Without its end the checksum over the column was not reached either.
    if len(shuffled) != size or not inflater.eof:
        raise DamagedError("a column of the wrong length")
    raw = bytearray(size)
    for place in range(WIDTH):
        raw[place::WIDTH] = shuffled[place * count : (place + 1) * count]
    return raw
