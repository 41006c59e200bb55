"""What is asked, as it goes to the process that answers, and why there may be no answer."""

import json
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from agent.model import InferwatchError

TOO_MANY_POINTS: Final = 11_000
"""Points of a series beyond which Prometheus, too, refuses a range query."""


class Kind(StrEnum):
    """What an answer is made of."""

    INSTANT = "instant"
    RANGE = "range"
    SERIES = "series"
    LABELS = "labels"
    VALUES = "values"
    FORMAT = "format"
    EXEMPLARS = "exemplars"
    FEDERATE = "federate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question.

    Attributes:
        kind: see there.
        query: PromQL.
        start: Unix seconds; of an instant query, its time. None for now.
        end: Unix seconds; infinite where no end is asked for.
        step: seconds, of a range query.
        selectors: of which series.
        label: whose values.
        limit: series, or names, that are wanted at most; 0 for all.
        lookback: seconds for which a sample stands for its series.
        gzip: the answer is to be compressed.
    """

    kind: Kind
    query: str = ""
    start: float | None = None
    end: float = math.inf
    step: float = 0.0
    selectors: tuple[str, ...] = ()
    label: str = ""
    limit: int = 0
    lookback: float = 300.0
    gzip: bool = False


def to_json(asked: Asked, **further: Any) -> bytes:
    """Return a question as bytes, with what else the other process has to know."""
    return json.dumps({"asked": asdict(asked), **further}).encode()


def from_json(data: bytes) -> tuple[Asked, dict[str, Any]]:
    """Return what `to_json` was given."""
    further = json.loads(data)
    fields = further.pop("asked")
    fields["kind"] = Kind(fields["kind"])
    fields["selectors"] = tuple(fields["selectors"])
    return Asked(**fields), further


class Trouble(StrEnum):
    """Why there is no answer, in the words of Prometheus (`errorType`)."""

    BAD_DATA = "bad_data"
    EXECUTION = "execution"
    TIMEOUT = "timeout"
    CANCELED = "canceled"
    INTERNAL = "internal"
    NOT_FOUND = "not_found"
    UNAVAILABLE = "unavailable"


class NoAnswerError(InferwatchError):
    """There is no answer; the message says why to whoever asked."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble
