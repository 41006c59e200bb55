"""How many bytes a model's weights and one token of its KV cache take, by its own description.

For each token a layer keeps one key and one value for each of its key-value heads; with multi-head
latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1) one compressed vector and one rotary
key for all heads. Models that keep another amount in some layers (sliding windows, state spaces)
have no size for each token, so none is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from collectors.engines.profile import Fact

_TYPE_BYTES: Final[Mapping[str, float]] = {
    "float32": 4.0,
    "float": 4.0,
    "f32": 4.0,
    "float16": 2.0,
    "half": 2.0,
    "bfloat16": 2.0,
    "f16": 2.0,
    "bf16": 2.0,
    "fp8": 1.0,
    "fp8_e4m3": 1.0,
    "fp8_e5m2": 1.0,
    "int8": 1.0,
    # llama.cpp keeps one 16-bit scale, for some a minimum too, for each 32 numbers.
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
}
_STATEFUL: Final = ("ssm_cfg", "mamba_d_state", "state_size", "linear_num_key_heads", "attn_type")
_MOST: Final = 10**9  # more of anything is no model
_SINGLE: Final = 4.0  # bytes of a float32, which no engine serves unless told to


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a model decides the size of its KV cache.

    Attributes:
        layers: that keep keys and values.
        heads: key-value heads; 0 where all heads share one latent vector.
        width: numbers that are kept for each token, layer and head, key and value together.
        dtype: type of the weights in the files, as the model calls it; empty where it does not.
        quantized: the files hold weights that no engine would convert.
    """

    layers: int
    heads: int
    width: int
    dtype: str = ""
    quantized: bool = False


def shape_of(config: object) -> Shape | None:
    """Return the shape that a `config.json` of Hugging Face describes, or None where it is none."""
    if not isinstance(config, dict):
        return None
    text = config.get("text_config")
    part: Mapping[str, Any] = {**config, **text} if isinstance(text, dict) else config
    if not _is_uniform(part):
        return None
    layers = _number(part, "num_hidden_layers")
    attention_heads = _number(part, "num_attention_heads")
    if layers is None or attention_heads is None:
        return None
    dtype = part.get("torch_dtype") or part.get("dtype") or ""
    named = dtype.removeprefix("torch.") if isinstance(dtype, str) else ""
    quantized = bool(part.get("quantization_config"))
    rank = _number(part, "kv_lora_rank")
    if rank is not None:
        rotary = _number(part, "qk_rope_head_dim") or 0
        return Shape(layers, 0, rank + rotary, named, quantized)
    width = _number(part, "head_dim")
    if width is None:
        hidden = _number(part, "hidden_size")
        if hidden is None or hidden % attention_heads:
            return None
        width = hidden // attention_heads
    heads = _number(part, "num_key_value_heads") or attention_heads
    return Shape(layers, heads, 2 * width, named, quantized)


def token_bytes(shape: Shape, known: Mapping[Fact, str]) -> float | None:
    """Return the bytes of one token in the KV cache of one replica, over all of its GPUs.

    Args:
        shape: of the model.
        known: the engine's facts: the type of its KV cache and over how many GPUs it is split.
    """
    tensor = _positive(known.get(Fact.TENSOR_PARALLEL_SIZE, "1"))
    served = known.get(Fact.KV_CACHE_DTYPE, "auto").lower()
    if served == "auto":
        served = served_type(shape, known)
    size = _TYPE_BYTES.get(served)
    if tensor is None or size is None:
        return None
    # Each GPU of a tensor-parallel group keeps whole heads, so that of more GPUs than heads some
    # keep the same, and what all heads share is kept on each.
    heads = max(shape.heads, tensor)
    if heads % tensor:
        return None
    return shape.layers * heads * shape.width * size


def served_type(shape: Shape, known: Mapping[Fact, str]) -> str:
    """Return the type in which the model is served; vLLM's `auto` makes 32 bits 16."""
    given = known.get(Fact.DTYPE, "auto").lower()
    if given != "auto":
        return given
    return "float16" if shape.dtype == "float32" else shape.dtype


def loaded_bytes(files: int, shape: Shape | None, known: Mapping[Fact, str]) -> float:
    """Return what the weights take once they are loaded, of files of so many bytes."""
    if shape is None or shape.quantized or Fact.QUANTIZATION in known:
        return float(files)
    stored = _TYPE_BYTES.get(shape.dtype)
    served = _TYPE_BYTES.get(served_type(shape, known))
    if stored is None or served is None or _SINGLE not in (stored, served):
        return float(files)
    return files * served / stored


def _is_uniform(part: Mapping[str, Any]) -> bool:
    """Return whether every layer keeps the same for every token."""
    if any(part.get(key) for key in _STATEFUL):
        return False
    kinds = part.get("layer_types") or part.get("layers_block_type")
    if isinstance(kinds, list):
        return all(kind in ("full_attention", "attention") for kind in kinds)
    return not part.get("sliding_window") or part.get("use_sliding_window") is False


def _number(part: Mapping[str, Any], key: str) -> int | None:
    """Return a number of things."""
    value = part.get(key)
    usable = isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MOST
    return value if usable else None


def _positive(text: str) -> int | None:
    """Return a positive number that a command line gives."""
    return int(text) if text.isdecimal() and len(text) <= 4 and int(text) > 0 else None  # noqa: PLR2004 - no host has 10,000 GPUs
