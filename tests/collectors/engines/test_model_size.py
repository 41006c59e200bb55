"""What a model's weights and one token of its KV cache take, by its own description."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.engines.model_size import Shape, loaded_bytes, shape_of, token_bytes
from collectors.engines.profile import Fact

# The fields that decide, as the published models of these names have them.
LLAMA_8B: dict[str, Any] = {
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "torch_dtype": "bfloat16",
}
DEEPSEEK: dict[str, Any] = {
    "hidden_size": 7168,
    "kv_lora_rank": 512,
    "num_attention_heads": 128,
    "num_hidden_layers": 61,
    "num_key_value_heads": 128,
    "qk_rope_head_dim": 64,
    "torch_dtype": "bfloat16",
}


def _size(config: object, **facts: str) -> float | None:
    """Return the bytes of a token for a description and facts by their names."""
    shape = shape_of(config)
    assert shape is not None
    return token_bytes(shape, {Fact(name): value for name, value in facts.items()})


def test_grouped_heads():
    """Key and value of 8 heads of 128 numbers in 32 layers, two bytes each: 128 KiB."""
    assert _size(LLAMA_8B) == 131_072


def test_heads_of_their_own():
    """Without grouping each attention head keeps a key and a value."""
    config = {key: value for key, value in LLAMA_8B.items() if key != "num_key_value_heads"}
    assert _size(config) == 4 * 131_072


def test_head_dim_that_is_given():
    """A width that the description names counts, whatever hidden size and heads would give."""
    assert _size({**LLAMA_8B, "head_dim": 64}) == 65_536


def test_latent_attention():
    """One latent vector and one rotary key for all heads, kept on every GPU."""
    assert _size(DEEPSEEK) == 61 * 576 * 2
    assert _size(DEEPSEEK, tensor_parallel_size="8") == 8 * 61 * 576 * 2


def test_text_part_of_a_multimodal_model():
    """The language part counts, and the type of the whole where it names none."""
    text = {key: value for key, value in LLAMA_8B.items() if key != "torch_dtype"}
    assert _size({"text_config": text, "dtype": "float16", "num_hidden_layers": 2}) == 131_072


@pytest.mark.parametrize(
    ("facts", "factor"),
    [
        ({"kv_cache_dtype": "auto"}, 1.0),
        ({"kv_cache_dtype": "fp8"}, 0.5),
        ({"kv_cache_dtype": "fp8_e5m2"}, 0.5),
        ({"dtype": "float32"}, 2.0),
        ({"dtype": "half"}, 1.0),
        ({"kv_cache_dtype": "fp8", "dtype": "float32"}, 0.5),
        ({"tensor_parallel_size": "8"}, 1.0),
        ({"tensor_parallel_size": "16"}, 2.0),
        ({"kv_cache_dtype": "q8_0"}, 34 / 64),
    ],
)
def test_served_type_and_parallelism(facts: dict[str, str], factor: float):
    """The cache's own type wins over the served one; GPUs beyond the heads keep copies."""
    assert _size(LLAMA_8B, **facts) == 131_072 * factor


@pytest.mark.parametrize(
    "facts",
    [
        {"kv_cache_dtype": "something_new"},
        {"tensor_parallel_size": "3"},
        {"tensor_parallel_size": "auto"},
        {"tensor_parallel_size": "0"},
    ],
)
def test_what_is_not_understood_is_unknown(facts: dict[str, str]):
    """A type or a split that nobody here knows gives no size."""
    assert _size(LLAMA_8B, **facts) is None


def test_single_precision_is_not_served():
    """Files of 32 bits are served by vLLM in 16 unless it is told otherwise."""
    config = {**LLAMA_8B, "torch_dtype": "torch.float32"}
    shape = shape_of(config)
    assert _size(config) == 131_072
    assert loaded_bytes(1000, shape, {}) == 500
    assert loaded_bytes(1000, shape, {Fact.DTYPE: "float32"}) == 1000


def test_files_that_are_loaded_as_they_are():
    """Quantised weights, and those of unknown type, take what their files take."""
    config = {**LLAMA_8B, "torch_dtype": "float32", "quantization_config": {"bits": 4}}
    assert loaded_bytes(1000, shape_of(config), {}) == 1000
    assert loaded_bytes(1000, shape_of(LLAMA_8B), {}) == 1000
    assert loaded_bytes(1000, shape_of(LLAMA_8B), {Fact.DTYPE: "float32"}) == 2000
    quantized = {Fact.DTYPE: "float32", Fact.QUANTIZATION: "fp8"}
    assert loaded_bytes(1000, shape_of(LLAMA_8B), quantized) == 1000
    assert loaded_bytes(1000, None, {}) == 1000


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        {},
        {**LLAMA_8B, "num_hidden_layers": 0},
        {**LLAMA_8B, "num_hidden_layers": True},
        {**LLAMA_8B, "num_attention_heads": 33},
        {**LLAMA_8B, "sliding_window": 4096},
        {**LLAMA_8B, "layer_types": ["full_attention", "sliding_attention"]},
        {**LLAMA_8B, "layers_block_type": ["mamba", "attention"]},
        {**LLAMA_8B, "mamba_d_state": 128},
        {**LLAMA_8B, "linear_num_key_heads": 16},
    ],
)
def test_models_without_a_size_for_each_token(config: object):
    """What is no model, or keeps another amount in some layers, has no size."""
    assert shape_of(config) is None


def test_window_that_is_switched_off():
    """A window that the model has and does not use changes nothing."""
    config = {**LLAMA_8B, "sliding_window": 4096, "use_sliding_window": False}
    assert _size({**config, "layer_types": ["full_attention"] * 32}) == 131_072
    assert _size(config) == 131_072


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.just([1]),
    st.just({}),
)


@given(st.dictionaries(st.sampled_from([*LLAMA_8B, "text_config", "head_dim"]), VALUES))
def test_any_description(config: dict[str, Any]):
    """Whatever stands in a description, a size is positive and finite or unknown."""
    shape = shape_of({**LLAMA_8B, **config})
    if shape is not None:
        size = token_bytes(shape, {})
        assert size is None or 0 < size < 1e40


@given(st.integers(1, 200), st.sampled_from([1, 2, 4, 8, 16]), st.sampled_from([64, 128, 256]))
def test_size_is_that_of_all_numbers(layers: int, heads: int, width: int):
    """Bytes of a token are layers x heads x (key + value) x bytes of a number."""
    assert (
        token_bytes(Shape(layers, heads, 2 * width, "bfloat16"), {}) == layers * heads * width * 4
    )
