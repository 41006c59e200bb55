"""Chunks: the columns of up to sixteen series over one segment, in one blob.

A page of the database holds 4 KiB and is never shared by large blobs, so a blob for each series
would be half air. Each column is deflated on its own all the same: to read one series, the
others are stepped over.

    lengths   16 of uint16, little-endian, 0 for a series that is not there
    columns   one after the other:
                  byte 0, column                   a value at every tick
                  byte 1, count, runs, column      count: uint16; two uint16 for each run
"""

import struct
from collections.abc import Mapping
from typing import Final

from agent.store.codec import DamagedError, decode, encode
from agent.store.segment import Column

GROUP: Final = 16
"""Series in a group."""

_LENGTHS: Final = struct.Struct(f"<{GROUP}H")
_EVERY_TICK: Final = b"\x00"
_SOME_TICKS: Final = b"\x01"


def pack(columns: Mapping[int, Column], ticks: int) -> bytes:
    """Return the blob of the columns, given by their place in the group."""
    whole = [place for place, column in columns.items() if column.runs == [(0, ticks)]]
    # Together they cost less.
    encoded = encode([columns[place].values for place in whole]) if whole else ()
    parts = {place: _EVERY_TICK + data for place, data in zip(whole, encoded, strict=True)}
    for place in columns.keys() - parts.keys():
        parts[place] = _broken(columns[place])
    in_order = [parts.get(place, b"") for place in range(GROUP)]
    return b"".join((_LENGTHS.pack(*map(len, in_order)), *in_order))


def _broken(column: Column) -> bytes:
    """Return the bytes of a column that does not have a value at every tick."""
    count = len(column.runs)
    runs = [tick for run in column.runs for tick in run]
    (data,) = encode([column.values])
    return _SOME_TICKS + struct.pack(f"<H{2 * count}H", count, *runs) + data


def unpack(blob: bytes, place: int, ticks: int) -> Column | None:
    """Return the column at a place of the group, None if that series is not there.

    Raises:
        DamagedError: these are not the bytes that were written.
    """
    if len(blob) < _LENGTHS.size:
        raise DamagedError("a chunk that is cut short")
    lengths = _LENGTHS.unpack_from(blob)
    length = lengths[place]
    if not length:
        return None
    start = _LENGTHS.size + sum(lengths[:place])
    data = blob[start : start + length]
    if data[:1] == _EVERY_TICK:
        return Column([(0, ticks)], decode(data[1:], ticks))
    if data[:1] != _SOME_TICKS:
        raise DamagedError("a column of an unknown kind")
    return _unpacked(data, ticks)


def _unpacked(data: bytes, ticks: int) -> Column:
    """Return a column that does not have a value at every tick."""
    try:
        (count,) = struct.unpack_from("<H", data, 1)
        numbers = struct.unpack_from(f"<{2 * count}H", data, 3)
    except struct.error:
        raise DamagedError("a column that is cut short") from None
    runs = list(zip(numbers[::2], numbers[1::2], strict=True))
    before = 0
    for start, end in runs:
        if not before <= start < end <= ticks:
            raise DamagedError("a column with ticks out of order")
        before = end
    values = decode(data[3 + 4 * count :], sum(end - start for start, end in runs))
    return Column(runs, values)
