"""Deflating what the history keeps: a few hundred bytes at a time."""

import zlib
from typing import Final

_CHEAPEST: Final = 1

# zlib's usual 256 KiB of window and hash table are taken and cleared for each piece, which costs
# six times as much as deflating it. A column of five minutes fits into 4 KiB.
_WINDOW_BITS: Final = 12
_MEMORY_LEVEL: Final = 4


def deflate(data: bytes) -> bytes:
    """Return data as a zlib stream, made as cheaply as can be."""
    stream = zlib.compressobj(_CHEAPEST, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    return stream.compress(data) + stream.flush()
