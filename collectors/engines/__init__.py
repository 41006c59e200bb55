"""Inference engines: one file declares one engine, and this table names them all."""

from typing import Final

from collectors.engines.llamacpp import LLAMACPP
from collectors.engines.profile import Engine
from collectors.engines.vllm import VLLM

ENGINES: Final[dict[str, Engine]] = {engine.name: engine for engine in (VLLM, LLAMACPP)}
