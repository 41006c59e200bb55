"""What an engine is started with, and how its time is told apart."""

from dataclasses import dataclass, replace
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an engine is started with.

    Attributes:
        max_num_seqs: requests in a batch at most.
        max_num_batched_tokens: tokens of a step at most.
        num_blocks: KV blocks, of which requests can have all but one.
        block_size: tokens of a block.
        max_model_len: tokens of a request at most.
        prefix_caching: whether freed blocks are found again.
        whole_prompt: whether a request is only admitted when all of its prompt has room.
    """

    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192
    num_blocks: int = 4096
    block_size: int = 16
    max_model_len: int = 8192
    prefix_caching: bool = True
    whole_prompt: bool = True

    @property
    def tokens(self) -> int:
        """Return how many tokens the KV cache can hold for requests."""
        return (self.num_blocks - 1) * self.block_size


class Hold(StrEnum):
    """What kept the next waiting request out of a step, or what else a moment was."""

    IDLE = "idle"
    NONE = "none"
    SEQUENCES = "sequence_limit"
    BLOCKS = "kv_memory"
    TOKENS = "token_budget"
    STALLED = "stalled"


@dataclass(slots=True)
class Spent:
    """Where the time of the steps went since the last look.

    Attributes:
        gpu: seconds in which the GPU worked.
        host: seconds in which it waited for the host.
        memory: seconds that reading needs, of those.
        compute: seconds that arithmetic needs, of those.
        prefill: seconds that would not have been without the prefilled tokens.
        normal: seconds that the same steps take undisturbed.
        steps: steps.
        prefilled: prompt tokens computed, again or for the first time.
        budget: seconds of steps that were full of tokens.
        gain: sum over those of by how much faster prompts were with twice the tokens a step.
    """

    gpu: float = 0.0
    host: float = 0.0
    memory: float = 0.0
    compute: float = 0.0
    prefill: float = 0.0
    normal: float = 0.0
    steps: int = 0
    prefilled: int = 0
    budget: float = 0.0
    gain: float = 0.0

    def add(
        self,
        *,
        steps: int,
        gpu: float,
        host: float,
        memory: float,
        compute: float,
        normal: float,
    ) -> None:
        """Add steps."""
        self.steps += steps
        self.gpu += gpu
        self.host += host
        self.memory += memory
        self.compute += compute
        self.normal += normal


@dataclass(slots=True)
class Owed:
    """Work of a GPU that was begun in one second and is done in those after it.

    An engine books a step when it begins; one that takes half a minute keeps its GPU busy for half
    a minute, and not for the first second alone.

    Attributes:
        gpu: seconds still to be worked.
        memory: likewise, of the memory.
        compute: likewise, of the arithmetic.
    """

    gpu: float = 0.0
    memory: float = 0.0
    compute: float = 0.0

    def pay(self, begun: Spent, *, within: float) -> Spent:
        """Return what of it is done in this second.

        Args:
            begun: what begins in this second.
            within: seconds of GPU time that a second has: one for each rank.
        """
        owed = {name: getattr(self, name) + getattr(begun, name) for name in self.__slots__}
        share = min(1.0, within / owed["gpu"]) if owed["gpu"] > 0.0 else 1.0
        for name, seconds in owed.items():
            setattr(self, name, seconds * (1.0 - share))
        return replace(begun, **{name: seconds * share for name, seconds in owed.items()})


class Ledger:
    """Keeps account of where the time of an engine goes.

    Args:
        begin: from when on.

    Attributes:
        spent: in steps, since the last look.
        holds: seconds by what kept requests waiting, since then.
        hold: what does so now.
    """

    __slots__ = ("_since", "hold", "holds", "spent")

    def __init__(self, begin: float = 0.0) -> None:
        self.spent = Spent()
        self.holds: dict[Hold, float] = {}
        self.hold = Hold.IDLE
        self._since = begin

    def mark(self, hold: Hold, time: float) -> None:
        """Say what the time from now on counts as."""
        if time > self._since:
            self.holds[self.hold] = self.holds.get(self.hold, 0.0) + time - self._since
            self._since = time
        self.hold = hold

    def look(self, time: float) -> tuple[Spent, dict[Hold, float]]:
        """Return what there is until now, and begin anew."""
        self.mark(self.hold, time)
        found = self.spent, self.holds
        self.spent, self.holds = Spent(), {}
        return found
