"""What an incident is, from its file alone and at little cost."""

import gzip
import json
import re
import zlib
from dataclasses import dataclass, replace
from typing import Any, Final

from agent.incidents.folder import Entry
from agent.recording.writer import MAGIC

_TICK: Final = re.compile(rb'\{"t":(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?),')
_LONGEST: Final = 1 << 24
_LATE: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The first line of an incident: Unix seconds of its detection, beginning and planned end."""

    time: float
    since: float
    until: float
    trigger: str
    engine: str
    text: str


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of the list.

    Attributes:
        id: name of the incident.
        size: bytes.
        state: `complete`, `incomplete` or `damaged`.
        problem: why it is not complete; empty where it is.
        time: Unix seconds of its trigger; None where that cannot be read.
        trigger: what it was; empty where that cannot be read.
        engine: name of the instance that it is about; empty for none.
        text: the trigger as a sentence.
        start: Unix seconds of the first tick; None without one.
        end: of the last.
        ticks: how many there are.
    """

    id: str
    size: int
    state: str
    problem: str = ""
    time: float | None = None
    trigger: str = ""
    engine: str = ""
    text: str = ""
    start: float | None = None
    end: float | None = None
    ticks: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it for machines, units in the names."""
        return {
            "id": self.id,
            "state": self.state,
            "problem": self.problem,
            "trigger": self.trigger,
            "engine": self.engine,
            "text": self.text,
            "time_timestamp_seconds": self.time,
            "start_timestamp_seconds": self.start,
            "end_timestamp_seconds": self.end,
            "ticks": self.ticks,
            "size_bytes": self.size,
        }


def summary(entry: Entry) -> Summary:
    """Return what a file holds; one that cannot be read is said to be damaged, never raised."""
    facts: Facts | None = None
    first = last = None
    count = 0
    problem = ""
    cut = False
    try:
        with gzip.open(entry.path, "rb") as file:
            facts = facts_of(json.loads(file.readline(_LONGEST)))
            while line := file.readline(_LONGEST):
                match = _TICK.match(line)
                if match is not None:
                    last = float(match[1])
                    first = last if first is None else first
                    count += 1
    except EOFError:
        cut = True
    except (OSError, zlib.error, ValueError, RecursionError) as error:
        problem = str(error) or type(error).__name__
    known = Summary(
        id=entry.id,
        size=entry.size,
        state="damaged",
        problem=problem,
        time=None if facts is None else facts.time,
        trigger="" if facts is None else facts.trigger,
        engine="" if facts is None else facts.engine,
        text="" if facts is None else facts.text,
        start=first,
        end=last,
        ticks=count,
    )
    if problem:
        return known
    if facts is None or last is None:
        return replace(known, problem="holds no ticks")
    if cut or last < facts.until - _LATE:
        why = "ends early: it is being written, or the agent was stopped"
        return replace(known, state="incomplete", problem=why)
    return replace(known, state="complete")


def facts_of(header: object) -> Facts:
    """Return what the first line of a recording says of the incident.

    Raises:
        ValueError: it is the first line of something else.
    """
    if not isinstance(header, dict) or MAGIC not in header or "incident" not in header:
        raise ValueError("is not the recording of an incident")
    found = header["incident"]
    try:
        return Facts(
            time=float(found["time"]),
            since=float(found["since"]),
            until=float(found["until"]),
            trigger=str(found["trigger"]),
            engine=str(found["engine"]),
            text=str(found["text"]),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError("what its first line says of the incident makes no sense") from error
