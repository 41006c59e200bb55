"""What the doctor finds: one thing that was looked for."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How it fares: missing costs a feature and may be as wanted; broken wants somebody to act."""

    OK = "ok"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        topic: what, in a few words.
        state: how it fares.
        found: what was found, in sentences.
        costs: what does not work without it; empty where nothing is lost.
        advice: what to do; empty where nothing is to be done.
    """

    topic: str
    state: State
    found: str
    costs: str = ""
    advice: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return asdict(self)


def ok(topic: str, found: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(topic=topic, state=State.OK, found=found)
