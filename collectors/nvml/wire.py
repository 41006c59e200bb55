"""What goes through the socket between the agent and the child.

A request is one byte, the tiers to read (`FAST | SLOW | PROCESSES`). An answer is any number of
EVENT and at most one LAYOUT frame, closed by SAMPLE or FAILURE. EVENT frames also come unasked.
A frame is its kind (one byte), the length of its body (four bytes, little-endian) and the body:
JSON, for SAMPLE native doubles, as many as the last LAYOUT has columns.
"""

import struct
from collections.abc import Iterator

FAST = 1
SLOW = 2
PROCESSES = 4
ALL_TIERS = FAST | SLOW | PROCESSES

LAYOUT = ord("L")
SAMPLE = ord("S")
EVENT = ord("V")
FAILURE = ord("F")

_HEADER = struct.Struct("<BI")
LONGEST = 16 * 2**20
"""No honest body is longer, in bytes."""


def frame(kind: int, body: bytes) -> bytes:
    """Return a frame as it is sent."""
    return _HEADER.pack(kind, len(body)) + body


class Unframer:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield kind and body of each frame that is now complete.

        Raises:
            ValueError: this is not a stream of frames.
        """
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(buffer)
            if length > LONGEST:
                raise ValueError(f"a frame of {length} bytes")
            end = _HEADER.size + length
            if len(buffer) < end:
                return
            body = bytes(buffer[_HEADER.size : end])
            del buffer[:end]
            yield kind, body
