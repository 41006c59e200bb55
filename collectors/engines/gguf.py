"""The header of a GGUF file, as far as it says what the KV cache takes.

The format is that of ggml's `docs/gguf.md`: a magic word, a version, two counts, then keys with
typed values in little-endian order; those of the architecture stand before the vocabulary.
"""

import struct
from collections.abc import Iterator
from typing import Final

from collectors.engines.model_size import Shape

_MAGIC: Final = b"GGUF"
_FIRST_VERSION: Final = 2  # counted in 64 bits since then
_STRING: Final = 8
_ARRAY: Final = 9
# struct's letter for each scalar type.
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?"} | {
    10: "Q",
    11: "q",
    12: "d",
}
_MOST_KEYS: Final = 10_000


class _EndError(ValueError):
    """The part of the file that was read ends here."""


class _Cursor:
    """Reads one value after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        if size > len(self._content) - self._at:
            raise _EndError("is cut off")
        part = self._content[self._at : self._at + size]
        self._at += size
        return part

    def scalar(self, letter: str) -> int | float:
        """Return the next number."""
        found: int | float = struct.unpack("<" + letter, self.take(struct.calcsize("<" + letter)))[
            0
        ]
        return found

    def text(self) -> str:
        """Return the next text."""
        return self.take(int(self.scalar("Q"))).decode("utf-8", "replace")

    def value(self, kind: int) -> int | float | str | None:
        """Return the next value; None for a list, which is passed over."""
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.scalar(_letter(kind))
        inner, count = int(self.scalar("I")), int(self.scalar("Q"))
        if inner in _SCALARS:
            self.take(count * struct.calcsize("<" + _SCALARS[inner]))
            return None
        raise _EndError("a vocabulary: all that is wanted stands before it")


def _letter(kind: int) -> str:
    """Return how `struct` calls a type."""
    if kind not in _SCALARS:
        raise ValueError(f"has a value of the unknown type {kind}")
    return _SCALARS[kind]


def read_gguf(content: bytes) -> Shape | None:
    """Return the shape of the model, or None where its header does not say it.

    Args:
        content: the beginning of the file.

    Raises:
        ValueError: it is no GGUF file of a version that is understood.
    """
    cursor = _Cursor(content)
    if cursor.take(len(_MAGIC)) != _MAGIC or cursor.scalar("I") < _FIRST_VERSION:
        raise ValueError("is no GGUF file of version 2 or later")
    cursor.take(8)  # the number of tensors
    values = dict(_pairs(cursor, int(cursor.scalar("Q"))))
    name = values.get("general.architecture")
    # A list of head counts or a window of attention: not the same for every layer and token.
    if not isinstance(name, str) or f"{name}.attention.sliding_window" in values:
        return None
    layers, heads = (values.get(f"{name}.{key}") for key in ("block_count", "attention.head_count"))
    kv_heads = values.get(f"{name}.attention.head_count_kv", heads)
    if not (isinstance(layers, int) and isinstance(heads, int) and isinstance(kv_heads, int)):
        return None
    embedding = values.get(f"{name}.embedding_length")
    width = embedding // heads if isinstance(embedding, int) and heads > 0 else None
    key = values.get(f"{name}.attention.key_length", width)
    value = values.get(f"{name}.attention.value_length", width)
    if not (isinstance(key, int) and isinstance(value, int)) or f"{name}.ssm.state_size" in values:
        return None
    return Shape(layers, kv_heads, key + value, "f16", quantized=True)


def _pairs(cursor: _Cursor, count: int) -> Iterator[tuple[str, int | float | str | None]]:
    """Yield keys and values as far as they were read."""
    try:
        for _ in range(min(count, _MOST_KEYS)):
            yield cursor.text(), cursor.value(int(cursor.scalar("I")))
    except _EndError:
        return
