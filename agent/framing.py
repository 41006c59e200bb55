"""Frames in a stream of bytes between the agent and its children.

A frame is its kind (one byte), the length of its body (four bytes, little-endian) and the body.
The child that asks the driver has this in memory, too: nothing heavy is imported here.
"""

import struct
from collections.abc import Iterator

HEADER = struct.Struct("<BI")
LONGEST = 16 * 2**20
"""No honest body is longer, in bytes."""


def frame(kind: int, body: bytes = b"") -> bytes:
    """Return a frame as it is sent."""
    return HEADER.pack(kind, len(body)) + body


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
        while len(buffer) >= HEADER.size:
            kind, length = HEADER.unpack_from(buffer)
            if length > LONGEST:
                raise ValueError(f"a frame of {length} bytes")
            end = HEADER.size + length
            if len(buffer) < end:
                return
            body = bytes(buffer[HEADER.size : end])
            del buffer[:end]
            yield kind, body
