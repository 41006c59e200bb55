"""Columns of floats as bytes: bit for bit the same after a round trip, whatever NaN is in it.

Most columns are decimal numbers, see `agent.store.decimal`. Of the others, neighbours in time share
their sign, exponent and first digits, so such a column is written byte position by byte position
(shuffled) and deflated at its cheapest level. Both directions are slices and calls into C; a column
that never changes is one number.
"""

import zlib
from array import array
from typing import Final

from agent.model import InferwatchError
from agent.store import decimal

WIDTH: Final = 8
"""Bytes of a float."""

_SAME: Final = b"\x00"
_PLAIN: Final = b"\x01"
_SHUFFLED: Final = b"\x02"
_DECIMAL: Final = b"\x03"
_TOO_SHORT: Final = 4  # values; deflate adds more to these than it takes away


class DamagedError(InferwatchError):
    """Bytes are not what the history wrote."""


def encode(column: "array[float]") -> bytes:
    """Return the bytes of a column, which is not empty."""
    raw = column.tobytes()
    if raw == raw[:WIDTH] * len(column):
        return _SAME + raw[:WIDTH]
    if len(column) > _TOO_SHORT:
        decimals = decimal.pack(column)
        if decimals is not None and len(decimals) < len(raw):
            return _DECIMAL + decimals
        shuffled = b"".join([raw[place::WIDTH] for place in range(WIDTH)])
        deflated = zlib.compress(shuffled, 1)
        if len(deflated) < len(raw):
            return _SHUFFLED + deflated
    return _PLAIN + raw


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
