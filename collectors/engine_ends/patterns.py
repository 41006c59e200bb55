"""Which lines of an engine's log say why it ends.

The words are those that vLLM, PyTorch, NCCL, llama.cpp and uvicorn print; each alternative is one
message of one of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from agent.lines import one_line, uncoloured

BURST: Final = 10.0
"""Seconds within which the first error of several is the one that the others follow from."""

QUIET: Final = 30.0
"""Seconds for which the same kind of finding is told once: each worker prints its own trace."""

_LONGEST: Final = 400

_PATTERNS: Final[Mapping[str, Sequence[str]]] = {
    "cuda_oom": (
        r"(?:CUDA|HIP) out of memory",
        r"OutOfMemoryError",
        r"CUDA (?:driver )?error: out of memory",
        r"cudaMalloc failed: out of memory",
        r"cudaErrorMemoryAllocation",
        r"CUBLAS_STATUS_ALLOC_FAILED",
        r"Cuda failure 2 'out of memory'",
        r"No available memory for the cache blocks",
        r"is less than desired GPU memory utilization",
        r"is larger than the available KV cache memory",
        r"larger than the maximum number of tokens that can be stored in KV cache",
        r"failed to allocate (?:CUDA\d+ |compute )?buffers?",
    ),
    "gpu_error": (
        r"CUDA error: (?!out of memory)",
        r"CUDA_ERROR_(?!OUT_OF_MEMORY)",
        r"nccl(?:UnhandledCuda|System)Error",
        r"uncorrectable ECC error",
        r"Watchdog caught collective operation timeout",
    ),
    "fatal": (
        r"EngineCore encountered a fatal error",
        r"EngineCore failed to start",
        r"Engine core initialization failed",
        r"EngineDeadError",
        r"died unexpectedly",
        r"Fatal Python error",
        r"GGML_ASSERT\(",
        r"terminate called after throwing",
        r"Segmentation fault",
        r"(?:error loading|failed to load|unable to load) model",
        r"failed to create context",
    ),
    "stopping": (
        r"(?:INFO:\s+|\] )Shutting down\b",
        r"cleaning up before exit",
        r"[Rr]eceived (?:signal|SIGTERM|SIGINT)",
    ),
}
_EXCEPTION: Final = r"(?:Error|Exception): "

_KINDS: Final = tuple((kind, re.compile("|".join(words))) for kind, words in _PATTERNS.items())
# One look at each line, of which most say nothing.
_ANY: Final = re.compile(
    "|".join([word for words in _PATTERNS.values() for word in words] + [_EXCEPTION]).encode()
)
_NAMED: Final = re.compile(r"^(?:[\w.]+\.)?\w+(?:Error|Exception): \S.*")
_FOLLOWS: Final = re.compile(r"EngineDeadError|Engine core initialization failed")
# `(EngineCore pid=42) ERROR 11-21 07:15:37 [core.py:1512] …` of vLLM.
_PREFIX: Final = re.compile(
    r"^(?:\([^)]{1,60}\)\s*)?"
    r"(?:(?:ERROR|CRITICAL|WARNING|INFO)\s+[\d:. -]{5,30}\[[^\]]{1,80}\]\s*)?"
)


class LogFinding(NamedTuple):
    """What a line says: the kind of finding, and the line that people want to read."""

    kind: str
    text: str


class LogWatch:
    """Watches the lines of one log.

    Python prints a trace before vLLM says that it is fatal, and others after it, which follow from
    it: so the first exception of a burst is remembered, and told with what is fatal.
    """

    def __init__(self) -> None:
        self._exception: tuple[float, str] | None = None
        self._told: dict[str, float] = {}

    def take(self, line: bytes, time: float) -> Iterator[LogFinding]:
        """Yield what a line says; mostly nothing.

        Args:
            line: as it was written; the rest of a long one is not looked at.
            time: Unix seconds.
        """
        line = uncoloured(line)
        if _ANY.search(line) is None:
            return
        text = _PREFIX.sub("", one_line(line.decode("utf-8", "replace")))[:_LONGEST].strip()
        if _NAMED.match(text) and not _FOLLOWS.search(text):
            known = self._exception
            if known is None or not 0 <= time - known[0] <= BURST:
                self._exception = (time, text)
        for kind, pattern in _KINDS:
            if pattern.search(text):
                if not 0 <= time - self._told.get(kind, float("-inf")) < QUIET:
                    self._told[kind] = time
                    yield LogFinding(kind, self._reason(text, time) if kind == "fatal" else text)
                return

    def _reason(self, text: str, time: float) -> str:
        """Return the exception behind something fatal, or the line itself."""
        known = self._exception
        return known[1] if known is not None and 0 <= time - known[0] <= BURST else text
