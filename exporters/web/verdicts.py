"""The verdicts on engines in words."""

from enum import StrEnum
from typing import Final

from agent.catalog.verdict import Cause


class Mood(StrEnum):
    """How good or bad something is; colour and words follow from it."""

    BAD = "bad"
    WARN = "warn"
    WELL = "well"
    UNKNOWN = "unknown"


_WORDS: Final = {
    Cause.IDLE: ("idle", Mood.WELL),
    Cause.HEALTHY: ("healthy", Mood.WELL),
    Cause.SEQUENCE_LIMIT: ("held back by its batch limit", Mood.WARN),
    Cause.KV_MEMORY: ("short of KV cache", Mood.WARN),
    Cause.PREFILL_COMPUTE: ("busy reading prompts", Mood.WARN),
    Cause.DECODE_BANDWIDTH: ("slow at writing: memory bandwidth", Mood.WARN),
    Cause.TOKEN_BUDGET: ("held back by its token budget", Mood.WARN),
    Cause.HOST_CPU: ("waiting for the host's CPU", Mood.WARN),
    Cause.POWER_THERMAL: ("slowed down by power or heat", Mood.WARN),
    Cause.CO_TENANT: ("disturbed by others on its GPU", Mood.WARN),
    Cause.STALLED: ("stalled: requests, but no progress", Mood.BAD),
    Cause.UNKNOWN: ("not judged", Mood.UNKNOWN),
}


def verdict_words(cause: str) -> tuple[str, Mood]:
    """Return what a cause is called, and how bad it is."""
    return _WORDS[Cause(cause)] if cause in list(Cause) else (cause, Mood.UNKNOWN)
