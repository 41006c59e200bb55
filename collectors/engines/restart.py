"""Notices that an engine was restarted, or that its counters began anew."""

from collections.abc import Sequence
from enum import Enum, auto
from operator import lt

from agent.picking import Pick, picker
from collectors.engines.mapping import Plan


class Change(Enum):
    """What happened to an engine between two looks at it."""

    NONE = auto()
    RESTARTED = auto()
    COUNTERS_RESET = auto()


class RestartWatch:
    """Compares each look at an engine with the one before.

    A server that says when it started is believed: when that changes it was restarted, and when
    it does not, counters that fell were only reset. Of others, counters that fell say that they
    were restarted.
    """

    def __init__(self) -> None:
        self._identity: dict[str, object] = {}
        self._plan: Plan | None = None
        self._counters: Sequence[float] = ()
        self._pick: Pick = picker(())

    def identity(self, **signs: object) -> Change:
        """Take note of what tells one run of the server from another; None is not known."""
        changed = False
        for name, sign in signs.items():
            if sign is not None:
                changed |= self._identity.get(name, sign) != sign
                self._identity[name] = sign
        if changed:
            self._plan = None
            return Change.RESTARTED
        return Change.NONE

    def counters(self, plan: Plan, values: Sequence[float]) -> Change:
        """Take note of the counters."""
        if plan is self._plan:
            counters = self._pick(values)
            fell = any(map(lt, counters, self._counters))
        else:
            self._pick = picker(plan.counters)
            counters = self._pick(values)
            before = (
                {}
                if self._plan is None
                else dict(zip(_series(self._plan), self._counters, strict=True))
            )
            fell = any(
                value < before.get(series, value)
                for series, value in zip(_series(plan), counters, strict=True)
            )
        self._plan, self._counters = plan, counters
        if not fell:
            return Change.NONE
        return Change.COUNTERS_RESET if self._identity else Change.RESTARTED


def _series(plan: Plan) -> list[int]:
    """Return the series of a plan's counters."""
    return [plan.ids[index] for index in plan.counters]
