"""Texts that others wrote, as logs, terminals and alerts can take them."""

import re
from typing import Final

# How terminals are told a colour, as it is and as JSON writes it.
_COLOUR: Final = re.compile(rb"(?:\x1b|\\u001[bB])\[[\d;]*m")


def one_line(text: str) -> str:
    """Return a text in one line that can only be read: what is no printable letter is a blank."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def uncoloured(line: bytes) -> bytes:
    """Return a line of a log without its colours, also one that is text in JSON."""
    return _COLOUR.sub(b"", line) if b"\x1b" in line or b"\\u001" in line else line
