"""What goes through the socket between the agent and the process that answers queries.

    agent ► ASKED (with the file for the answer)                                   ► DONE | FAILED
            process ► LEND                         SEGMENTS  LIVE  SERIES…  END
            process ► READ  place ids first last   TIMES  BLOCKS… or COLUMNS…  END
            process ► PRESENT  place               LIVE  END

Frames are those of `agent.framing`. Both ends run on one host: numbers in bodies are native.
"""

import json
import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from agent.framing import frame
from agent.store.lending import Block
from agent.store.segment import Column

ASKED: Final = ord("A")
DONE: Final = ord("D")
FAILED: Final = ord("F")
LEND: Final = ord("L")
READ: Final = ord("R")
PRESENT: Final = ord("P")
SEGMENTS: Final = ord("G")
LIVE: Final = ord("I")
SERIES: Final = ord("S")
TIMES: Final = ord("T")
BLOCK: Final = ord("B")
COLUMNS: Final = ord("C")
END: Final = ord("E")

_READ: Final = struct.Struct("<Iqq?")
_COLUMN: Final = struct.Struct("<iI")
_BLOCK: Final = struct.Struct("<II")


def json_frame(kind: int, what: Mapping[str, Any] | list[Any]) -> bytes:
    """Return a frame that holds JSON."""
    return frame(kind, json.dumps(what, separators=(",", ":")).encode())


class Wanted(NamedTuple):
    """Samples of some series of one segment.

    Attributes:
        place: of the segment among those that were lent.
        first: first moment, in milliseconds.
        last: last moment, itself included.
        newest: only what the newest tick of these has.
        ids: the series.
    """

    place: int
    first: int
    last: int
    newest: bool
    ids: "array[int]"


def read_frame(wanted: Wanted) -> bytes:
    """Return the frame that asks for samples."""
    head = _READ.pack(wanted.place, wanted.first, wanted.last, wanted.newest)
    return frame(READ, head + wanted.ids.tobytes())


def wanted_of(body: bytes) -> Wanted:
    """Return what `read_frame` was given.

    Raises:
        ValueError, struct.error: these are other bytes.
    """
    place, first, last, newest = _READ.unpack_from(body)
    return Wanted(place, first, last, newest, numbers(body[_READ.size :]))


def numbers(body: bytes) -> "array[int]":
    """Return the numbers of series."""
    ids = array("i")
    ids.frombytes(body)
    return ids


def block_frame(block: Block, low: int) -> bytes:
    """Return the frame of a block, whose ticks are counted from `low`."""
    head = _BLOCK.pack(block.tick - low, len(block.ids))
    return frame(BLOCK, b"".join((head, block.ids.tobytes(), block.values.tobytes())))


def block_of(body: bytes) -> Block:
    """Return what `block_frame` was given, with ticks counted from the first that was sent."""
    tick, count = _BLOCK.unpack_from(body)
    begin = _BLOCK.size + 4 * count
    values = np.frombuffer(body, dtype=np.float64, offset=begin)
    ids = numbers(body[_BLOCK.size : begin])
    return Block(tick, ids, values.reshape(count, -1) if count else values.reshape(0, 0))


def columns_frame(columns: Iterable[tuple[int, Column]], low: int) -> bytes:
    """Return the frame of some columns, whose ticks are counted from `low`."""
    parts: list[bytes] = []
    for series_id, column in columns:
        runs = array("I", [edge - low for run in column.runs for edge in run])
        parts.append(_COLUMN.pack(series_id, len(column.runs)) + runs.tobytes())
        parts.append(column.values.tobytes())
    return frame(COLUMNS, b"".join(parts))


def columns_of(body: bytes) -> Iterator[tuple[int, Column]]:
    """Yield what `columns_frame` was given, with ticks counted from the first that was sent."""
    offset = 0
    while offset < len(body):
        series_id, count = _COLUMN.unpack_from(body, offset)
        offset += _COLUMN.size
        edges = array("I")
        edges.frombytes(body[offset : offset + 8 * count])
        offset += 8 * count
        runs = list(zip(edges[::2], edges[1::2], strict=True))
        values = array("d")
        size = 8 * sum(end - begin for begin, end in runs)
        values.frombytes(body[offset : offset + size])
        offset += size
        yield series_id, Column(runs, values)
