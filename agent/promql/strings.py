r"""Escaped bytes in strings: Go joins them to characters, the parser takes each for a character."""

import re
from collections.abc import Sequence
from typing import Final

from agent.promql.errors import PromqlError
from agent.promql.positions import Token, place

# Bytes below 0x80 are characters of their own; a backslash that is escaped itself begins none.
_BYTES: Final = re.compile(r"(?<!\\)((?:\\\\)*)((?:\\(?:x[89a-fA-F][0-9a-fA-F]|[23][0-7][0-7]))+)")
_BYTE: Final = re.compile(r"\\(?:x(?P<hex>..)|(?P<octal>...))")


def joined_bytes(found: Sequence[Token], text: str) -> str:
    r"""Return a query with the characters themselves in place of their bytes, `é` for `\xc3\xa9`.

    Raises:
        PromqlError: the bytes are no characters: no label has such a name or value.
    """
    parts: list[str] = []
    end, word = 0, ""
    for token in found:
        if token.kind == "word":
            word = token.text.lower()
        if token.kind != "string" or token.text[0] == "`":
            continue
        try:
            changed = _BYTES.sub(_characters, token.text)
        except UnicodeDecodeError as error:
            if word == "count_values":
                raise PromqlError(f"invalid label name {token.text}") from error
            where = place(text, token.offset)
            raise PromqlError(f"no UTF-8 in the string {token.text}", where) from error
        if changed != token.text:
            parts += [text[end : token.offset], changed]
            end = token.offset + len(token.text)
    return "".join(parts) + text[end:]


def _characters(match: re.Match[str]) -> str:
    """Return the characters of a run of escaped bytes, and the backslashes before it."""
    numbers = (
        int(byte["hex"], 16) if byte["hex"] else int(byte["octal"], 8)
        for byte in _BYTE.finditer(match[2])
    )
    return match[1] + bytes(numbers).decode()
