"""Whether a replica should be sent more requests: advice, which nobody here acts on.

`stop` while it does not work or more is asked than it can ever get done, `shed` while more is asked
than it carries within its targets or requests already miss them for want of room, else `ok`. What
is worse counts once it has lasted a while, that it stands still at once; what is better counts
after a longer while, and only well within the thresholds.
"""

from typing import Final, NamedTuple

from agent.analysis.signals.evidence import Evidence, Timed
from agent.analysis.signals.lasting import Lasting
from agent.analysis.signals.terms import Terms
from agent.catalog.signals import Admit

_WORSE: Final = (Admit.OK, Admit.SHED, Admit.STOP)


class Advice(NamedTuple):
    """What should be done, and why, in a sentence."""

    admit: Admit
    reason: str


def advised(
    evidence: Evidence, terms: Terms, *, first_token: float, before: Admit = Admit.OK
) -> Advice | None:
    """Return what the present moment alone advises; None where nothing is known.

    Args:
        evidence: of the replica, fresh.
        terms: the thresholds.
        first_token: target of the time to first token in seconds.
        before: what was advised so far; what was exceeded must be well within to count as over.
    """
    stuck = evidence.stuck
    if stuck is None:
        return None
    if stuck:
        return Advice(Admit.STOP, stuck)
    stop = _over_stability(evidence, _within(terms, before is Admit.STOP))
    if stop:
        return Advice(Admit.STOP, stop)
    within = _within(terms, before is not Admit.OK)
    why = _over_capacity(evidence, within) or _missing(evidence, terms, first_token, within)
    if why:
        return Advice(Admit.SHED, why)
    load = evidence.load
    if load is None and evidence.queue is None:
        return None
    return Advice(
        Admit.OK,
        f"{load.value:.0%} of what it carries is asked" if load else "requests find room in time",
    )


class AdmitSignal:
    """Follows the advice on one replica."""

    def __init__(self) -> None:
        self._said: Advice | None = None
        self._worse = Lasting()
        self._better = Lasting()

    def observe(self, evidence: Evidence, terms: Terms, *, first_token: float) -> Advice | None:
        """Return what is advised; arguments as for `advised`."""
        before = self._said.admit if self._said else Admit.OK
        found = advised(evidence, terms, first_token=first_token, before=before)
        if found is None:
            self._said = None
            self._worse, self._better = Lasting(), Lasting()
            return None
        step = _WORSE.index(found.admit) - _WORSE.index(before)
        worse = self._worse.lasts(holds=step > 0, time=evidence.time, seconds=terms.shed_after)
        better = self._better.lasts(holds=step < 0, time=evidence.time, seconds=terms.admit_after)
        at_once = found.admit is Admit.STOP and bool(evidence.stuck)
        if worse or better or at_once or step == 0:
            self._said = found
        else:
            after = terms.shed_after if step > 0 else terms.admit_after
            self._said = Advice(before, f"{found.reason}, but for less than {after:g} s so far")
        return self._said


def _within(terms: Terms, exceeded: bool) -> float:  # noqa: FBT001 - private
    """Return by what thresholds are multiplied."""
    return 1.0 - terms.hysteresis if exceeded else 1.0


def _over_stability(evidence: Evidence, within: float) -> str:
    """Return that more is asked than can ever be done, empty where it is not."""
    demand, limit = evidence.demand, evidence.stability
    if demand is None or limit is None or demand.value <= within * limit.value:
        return ""
    return (
        f"{demand.value:.0f} tokens a minute are asked, and from {limit.value:.0f} on its queue "
        "grows without end"
    )


def _over_capacity(evidence: Evidence, within: float) -> str:
    """Return that more is asked than is carried within the targets, empty where it is not."""
    if evidence.carries is not None and evidence.carries.value <= 0.0 and _over(evidence.demand, 0):
        return "it carries nothing within its targets"
    load = evidence.load
    if load is None or load.value <= within:
        return ""
    return f"{load.value:.0%} of what it surely carries within its targets is asked"


def _missing(evidence: Evidence, terms: Terms, first_token: float, within: float) -> str:
    """Return that requests miss their target for want of room, empty where none does."""
    if not _over(evidence.queue, 0.0):
        return ""
    waited = evidence.queue_wait
    if waited is not None and waited.value > within * first_token:
        return (
            f"requests wait {waited.value:.2g} s for room, and should have their first token after "
            f"{first_token:g} s"
        )
    kv = evidence.kv
    if kv is not None and kv.value >= within * terms.kv_full:
        return f"its KV cache is {kv.value:.0%} full while requests wait"
    return ""


def _over(known: Timed | None, limit: float) -> bool:
    """Return whether a value is known to be over a limit."""
    return known is not None and known.value > limit
