"""What is said of the load that a replica can carry."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NamedTuple, TypeAlias

Source: TypeAlias = Literal["command_line", "page", "file", "inferred", "unknown"]
"""Where a limit is known from."""

Criterion: TypeAlias = Literal["request", "gap"]
"""What the target between tokens is about.

`request`: the mean time per output token of a request, 95 of 100 requests. `gap`: the time from one
token to the next, 95 of 100 gaps.
"""


class Binding(StrEnum):
    """What keeps a replica from carrying more within its targets."""

    INTER_TOKEN = "inter_token"  # noqa: S105 - no secret
    TIME_TO_FIRST_TOKEN = "time_to_first_token"  # noqa: S105 - no secret
    KV_MEMORY = "kv_memory"
    SEQUENCE_LIMIT = "sequence_limit"
    TOKEN_BUDGET = "token_budget"  # noqa: S105 - no secret
    STABILITY = "stability"


class Interval(NamedTuple):
    """A value and where it lies in nine of ten cases."""

    estimate: float
    low: float
    high: float


class Limit(NamedTuple):
    """A limit that the engine was started with; None where it is not known."""

    value: float | None = None
    source: Source = "unknown"


UNKNOWN: Final = Limit()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds a batch.

    Attributes:
        sequences: requests that run at once (`max_num_seqs`).
        step_tokens: tokens of one step (`max_num_batched_tokens`).
        kv_tokens: tokens that the KV cache holds.
    """

    sequences: Limit = UNKNOWN
    step_tokens: Limit = UNKNOWN
    kv_tokens: Limit = UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """What requests look like, means of those that a capacity holds for.

    Attributes:
        prompt: tokens of a prompt, those found in the cache included; None where it is not known.
        output: tokens generated for a request; None where it is not known.
        prompt_share: prompt tokens of all tokens, prompt and generated, 0 to 1.
        cached_share: prompt tokens found in the cache, of all prompt tokens, 0 to 1.
        held: KV tokens that a running request holds; None where it is not known.
        requests: how many requests it rests on; None where they are not counted.
        since: Unix seconds of the oldest request that it rests on.
    """

    prompt: float | None
    output: float | None
    prompt_share: float
    cached_share: float
    held: float | None
    requests: float | None
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """A load, each as an interval of 90 %.

    Attributes:
        tokens_per_minute: prompt and generated tokens a minute.
        prompt_tokens_per_minute: prompt tokens, those found in the cache included.
        generation_tokens_per_minute: tokens generated.
        requests_per_minute: None where the engine's requests cannot be counted.
    """

    tokens_per_minute: Interval
    prompt_tokens_per_minute: Interval
    generation_tokens_per_minute: Interval
    requests_per_minute: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A capacity, and what it rests on.

    Attributes:
        under_targets: the highest load that keeps both targets.
        stability: the highest load at which the queue does not grow without end.
        binding: what keeps `under_targets` from being higher.
        batch: requests in the batch at `under_targets`, mean.
        batch_seen: smallest and largest mean batch of the stretches that the law rests on.
        tokens_seen: lowest and highest load seen with this mix, tokens a minute.
        evidence_age: seconds since the newest stretch that the law rests on.
        evidence: how many stretches it rests on.
        mix: what it holds for.
        concurrent: requests of this mix that fit into the KV cache; None where that is not known.
    """

    under_targets: Rates
    stability: Rates
    binding: Binding
    batch: float
    batch_seen: tuple[float, float]
    tokens_seen: tuple[float, float]
    evidence_age: float
    evidence: int
    mix: Mix
    concurrent: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What can be said of a replica's capacity now.

    Attributes:
        known: the capacity; None where it is not identifiable.
        reason: why it is not, a sentence; empty where it is.
        limits: what was reckoned with, what was inferred included.
    """

    known: Known | None = None
    reason: str = "nothing was seen yet"
    limits: Limits = field(default_factory=Limits)

    @property
    def identifiable(self) -> bool:
        """Whether there is a capacity to tell."""
        return self.known is not None
