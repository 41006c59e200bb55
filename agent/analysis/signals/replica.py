"""The signals of one replica."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.analysis.replicas import Replica
from agent.analysis.signals.admit import AdmitSignal, Advice
from agent.analysis.signals.evidence import Evidence
from agent.analysis.signals.removal import Removal, removal
from agent.analysis.signals.scale import Scale, ScaleSignal
from agent.analysis.signals.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What is told of a replica; None is not known.

    Attributes:
        replica: which.
        evidence: what it rests on, and what is told of it as it is.
        removal: whether the others could do without it.
        advice: whether it should be sent more requests.
        scale: whether more replicas are wanted, or fewer would do.
    """

    replica: Replica
    evidence: Evidence
    removal: Removal | None = None
    advice: Advice | None = None
    scale: Scale | None = None


class ReplicaSignals:
    """Follows one replica."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._admit = AdmitSignal()
        self._scale = ScaleSignal()
        self._safe = False

    def observe(
        self,
        own: Evidence,
        others: Sequence[Evidence],
        terms: Terms,
        *,
        first_token: float,
        ranks: Sequence[Evidence] = (),
    ) -> Signals:
        """Return what is told now.

        Args:
            own: evidence of the replica.
            others: of the replicas of its model that other servers on this host have.
            terms: the thresholds.
            first_token: target of the time to first token in seconds.
            ranks: of the other ranks of its own server.
        """
        own = own.fresh(terms.stale_after)
        fresh = [other.fresh(terms.stale_after) for other in others]
        beside = [rank.fresh(terms.stale_after) for rank in ranks]
        gone = removal(own, fresh, terms, before=self._safe, ranks=beside)
        self._safe = gone is not None and gone.safe
        return Signals(
            replica=self._replica,
            evidence=own,
            removal=gone,
            advice=self._admit.observe(own, terms, first_token=first_token),
            scale=self._scale.observe(own, terms, gone),
        )
