"""Whether more replicas are wanted, or fewer would do, as one replica shows it.

A direction, not a number: how many a model needs is for whoever sees all its replicas
(`agent.analysis.signals.fleet`).
"""

from typing import NamedTuple

from agent.analysis.signals.evidence import Evidence
from agent.analysis.signals.lasting import Lasting
from agent.analysis.signals.removal import Removal
from agent.analysis.signals.terms import Terms


class Scale(NamedTuple):
    """1: more replicas are wanted; -1: this one is not needed; 0 else; and why, in a sentence."""

    change: int
    reason: str


class ScaleSignal:
    """Follows one replica."""

    def __init__(self) -> None:
        self._out = False
        self._wants = Lasting()
        self._idle = Lasting()

    def observe(self, evidence: Evidence, terms: Terms, removal: Removal | None) -> Scale | None:
        """Return what is wanted now, None where neither load nor waiting is known.

        Args:
            evidence: of the replica, fresh.
            terms: the thresholds.
            removal: whether the others could do without it, None where that is not known.
        """
        load, wait = evidence.load, evidence.queue_wait
        if load is None and wait is None:
            self._out = False
            self._wants.take(holds=False, time=evidence.time)
            self._idle.take(holds=False, time=evidence.time)
            return None
        within = 1.0 - terms.hysteresis if self._out else 1.0
        why = _wants_more(evidence, terms, within)
        lasts = self._wants.lasts(
            holds=bool(why), time=evidence.time, seconds=terms.scale_out_after
        )
        self._out = bool(why) and (self._out or lasts)
        level = foreseen_load(evidence)
        idle = level is not None and level < terms.scale_in and not why
        held = self._idle.take(holds=idle, time=evidence.time)
        if self._out:
            return Scale(1, why)
        if held is None or level is None:
            return Scale(0, "neither much nor little is asked of it")
        minutes = held / 60.0
        least = f"at most {level:.0%} of what it carries was asked for {minutes:.0f} min"
        if held < terms.scale_in_after:
            return Scale(0, f"{least}; {terms.scale_in_after / 60.0:.0f} min are waited for")
        if removal is None or not removal.safe:
            return Scale(0, f"{least}, but {removal.reason if removal else 'nothing else known'}")
        return Scale(-1, least)


def foreseen_load(evidence: Evidence) -> float | None:
    """Return the higher of the present load and that within the horizon, as share of capacity."""
    load = evidence.load
    if load is None:
        return None
    return load.value * max(1.0, evidence.growth.estimate if evidence.growth else 1.0)


def _wants_more(evidence: Evidence, terms: Terms, within: float) -> str:
    """Return why more replicas are wanted, empty where they are not."""
    load, wait = evidence.load, evidence.queue_wait
    if wait is not None and wait.value > within * terms.queue_wait:
        return (
            f"requests wait {wait.value:.2g} s for room, and {terms.queue_wait:g} s would be well"
        )
    if load is None:
        return ""
    if load.value > within * terms.scale_out:
        return f"{load.value:.0%} of what it carries is asked"
    level = foreseen_load(evidence)
    if level is not None and level > within * terms.scale_out:
        return (
            f"{load.value:.0%} of what it carries is asked, and {level:.0%} will be in "
            f"{terms.horizon / 60.0:.0f} min"
        )
    return ""
