"""A part of the analysis that raises is left out, told and counted; it costs no other part."""

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from agent.catalog.agent import ANALYSIS_FAILURES
from agent.model import Event, Reading, SeriesTable
from agent.steps import Steps

T = TypeVar("T")

_NOBODY: Final[Mapping[str, str]] = MappingProxyType({})


class Guard:
    """Runs parts of the analysis by name and remembers which of them fail."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._failing: set[tuple[str, tuple[str, ...]]] = set()
        self._events: list[Event] = []

    def run(
        self, part: str, work: Callable[[], T], *, time: float, about: Mapping[str, str] = _NOBODY
    ) -> T | None:
        """Return what comes of the work, or None where it raises.

        Args:
            part: its name, for the log and the metric.
            work: arithmetic only.
            time: Unix seconds of the tick.
            about: labels of the one that it is about; each is told of on its own.
        """
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts go on
            self._failed(part, about, error, time=time)
            return None
        self._went_well(part, about, time=time)
        return result

    def in_steps(
        self, part: str, steps: Steps[T], *, time: float, about: Mapping[str, str] = _NOBODY
    ) -> Steps[T | None]:
        """Do what `run` does with work that can be interrupted."""
        try:
            result = yield from steps
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts go on
            self._failed(part, about, error, time=time)
            return None
        self._went_well(part, about, time=time)
        return result

    def _failed(
        self, part: str, about: Mapping[str, str], error: Exception, *, time: float
    ) -> None:
        """Count a failure, and tell of the first."""
        self._failures[part] = self._failures.get(part, 0) + 1
        key = (part, tuple(about.values()))
        if key not in self._failing:
            self._failing.add(key)
            why = reason_of(error)
            self._tell(time, "analysis_failed", part, about, f"fails and is left out: {why}")

    def _went_well(self, part: str, about: Mapping[str, str], *, time: float) -> None:
        """Tell of a part that failed before."""
        if not self._failing:
            return
        key = (part, tuple(about.values()))
        if key in self._failing:
            self._failing.discard(key)
            self._tell(time, "analysis_recovered", part, about, "works again")

    def reading(self, table: SeriesTable) -> Reading:
        """Return how often each part failed, and the changes since this was last asked for."""
        events, self._events = self._events, []
        ids = [table.intern(ANALYSIS_FAILURES, (part,)) for part in self._failures]
        return Reading(ids, [float(count) for count in self._failures.values()], events)

    def _tell(self, time: float, kind: str, part: str, about: Mapping[str, str], what: str) -> None:
        """Keep an event until it is asked for."""
        whom = f" of {about['instance_name']}" if "instance_name" in about else ""
        message = f"analysis: {part}{whom} {what}"
        self._events.append(Event(time, kind, "analysis", {**about, "analysis": part}, message))


def reason_of(error: Exception) -> str:
    """Return what went wrong, and in which line: without it nobody could mend it."""
    *_callers, (frame, line) = traceback.walk_tb(error.__traceback__)
    return f"{type(error).__name__}: {error} ({Path(frame.f_code.co_filename).name}:{line})"
