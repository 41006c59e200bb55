"""Whether the other replicas of a model could do without one: their load is worked out anew.

What goes is a server with all its ranks, so what all of them are asked has to be carried, and none
of them carries it.

Only the replicas of this host are known here. Where a model has one on this host alone, what those
of other hosts carry is not, and it is not called safe.
"""

from collections.abc import Sequence
from typing import NamedTuple

from agent.analysis.signals.evidence import Evidence
from agent.analysis.signals.terms import Terms


class Removal(NamedTuple):
    """Whether a replica can go, why, and the load of the others afterwards, None if unknown."""

    safe: bool
    reason: str
    load: float | None = None


def removal(
    own: Evidence,
    others: Sequence[Evidence],
    terms: Terms,
    *,
    before: bool,
    ranks: Sequence[Evidence] = (),
) -> Removal | None:
    """Return whether a replica can go; None where what is asked of it is not known.

    Args:
        own: fresh evidence of the replica.
        others: of the replicas of its model that other servers on this host have, likewise.
        terms: the thresholds.
        before: whether it was safe so far: that lasts up to the threshold, and begins below it.
        ranks: of the other ranks of its own server, likewise.
    """
    asked = 0.0
    for going in (own, *ranks):
        part = _asked(going)
        if part is None:
            return None
        asked += part
    if not others:
        return Removal(
            safe=False,
            reason="it is the only replica of its model on this host, and of other hosts nothing "
            "is known here",
        )
    carried = 0.0
    for other in others:
        more = _asked(other)
        if more is None or other.carries is None:
            return Removal(safe=False, reason="of another replica of its model too little is known")
        if other.stuck:
            reason = f"another replica of its model stands still: {other.stuck}"
            return Removal(safe=False, reason=reason)
        asked += more
        carried += other.carries.value
    load = asked / carried if carried > 0.0 else float("inf")
    limit = terms.scale_out if before else (1.0 - terms.hysteresis) * terms.scale_out
    so = f"the others would be asked {load:.0%} of what they carry"
    if load <= limit:
        return Removal(safe=True, reason=so, load=load)
    return Removal(safe=False, reason=f"{so}, and {limit:.0%} are well", load=load)


def _asked(evidence: Evidence) -> float | None:
    """Return the higher of what is asked now and within the horizon, None where it is not known."""
    if evidence.demand is None:
        return None
    return evidence.demand.value * max(1.0, evidence.growth.estimate if evidence.growth else 1.0)
