"""The header of a GGUF file."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.engines.gguf import read_gguf

QWEN = {
    "qwen2.block_count": 28,
    "qwen2.embedding_length": 3584,
    "qwen2.attention.head_count": 28,
    "qwen2.attention.head_count_kv": 4,
}


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def gguf(
    architecture: str, numbers: dict[str, int], *, rest: bytes = b"", version: int = 3
) -> bytes:
    """Return the beginning of a file with these keys, then a list and whatever follows."""
    pairs = [_text("general.architecture") + struct.pack("<I", 8) + _text(architecture)]
    pairs.append(_text("general.file_type") + struct.pack("<If", 6, 1.5))
    pairs += [_text(key) + struct.pack("<II", 4, value) for key, value in numbers.items()]
    pairs.append(_text("x.list") + struct.pack("<IIQ", 9, 5, 3) + struct.pack("<3i", 1, 2, 3))
    count = len(pairs) + (1 if rest else 0)
    return b"GGUF" + struct.pack("<IQQ", version, 300, count) + b"".join(pairs) + rest


VOCABULARY = _text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + _text("a") + _text("b")


def test_shape():
    """Layers, heads and width are those that the architecture's keys name."""
    shape = read_gguf(gguf("qwen2", QWEN, rest=VOCABULARY))
    assert shape is not None
    assert (shape.layers, shape.heads, shape.width) == (28, 4, 2 * 128)
    assert shape.quantized


def test_key_and_value_of_their_own_length():
    """Lengths that are named win over the width of an attention head."""
    lengths = {"qwen2.attention.key_length": 192, "qwen2.attention.value_length": 128}
    shape = read_gguf(gguf("qwen2", {**QWEN, **lengths}))
    assert shape is not None
    assert shape.width == 320


def test_file_that_ends_early():
    """What stands before the end of the part that was read counts."""
    whole = gguf("qwen2", QWEN, rest=VOCABULARY)
    shape = read_gguf(whole[: -len(VOCABULARY) - 10])
    assert shape is not None
    assert shape.layers == 28


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {key: value for key, value in QWEN.items() if "block" not in key},
        {key: value for key, value in QWEN.items() if "embedding" not in key},
        {**QWEN, "qwen2.attention.sliding_window": 4096},
        {**QWEN, "qwen2.ssm.state_size": 128},
        {**QWEN, "qwen2.attention.head_count": 0},
    ],
)
def test_models_without_a_size_for_each_token(numbers: dict[str, int]):
    """A header that says too little, or of layers that differ, gives no shape."""
    assert read_gguf(gguf("qwen2", numbers)) is None


@pytest.mark.parametrize("content", [b"", b"GGU", b"PK\3\4" + bytes(40), gguf("a", {}, version=1)])
def test_other_files(content: bytes):
    """What is no GGUF file of a version that is understood is refused."""
    with pytest.raises(ValueError, match=r"GGUF|cut off"):
        read_gguf(content)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_content(noise: bytes, at: int):
    """Whatever stands in a file, it is read or refused, and nothing else."""
    content = gguf("qwen2", QWEN, rest=VOCABULARY)
    for damaged in (content[:at] + noise, content[:at] + noise + content[at + len(noise) :]):
        try:
            read_gguf(damaged)
        except ValueError:
            continue
