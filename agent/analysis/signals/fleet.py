"""How many replicas a model needs, from what is asked of all of them and what each carries.

    needed = ceil(demand / (capacity of a replica · target))

The demand is the higher of the present one, with what waits worked off within the horizon, and the
one foreseen when a replica ordered now has started. The capacity of a replica is the mean of the
lower bounds that are known. More are needed at once, fewer only after a while in which no more were
ever needed, with a margin. Whatever is unknown never makes it fewer.

What the target leaves unused is there for a surge, which is over before a second one comes. So a
target for surges, higher than that, can be given for as long as one lasts:

    needed = ceil(max(usual demand / (capacity of a replica · target),
                      demand / (capacity of a replica · target in a surge)))

While it lasts none goes, nor is one that starts sent back, before another could have started: there
is no reserve then that would make good for it.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final, NamedTuple

from agent.analysis.signals.lasting import Lasting
from agent.analysis.signals.usual import Usual

_MINUTE: Final = 60.0
_LEAST: Final = 1.0  # tokens a minute, below which a replica carries nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetTerms:
    """What the number of replicas follows from.

    Attributes:
        target: share of their capacity that replicas should be asked.
        surge_target: share that they may be asked in a surge; None: no more than at any time.
        margin: share of the target by which fewer replicas must be below it.
        queue_wait: seconds of waiting, 95th percentile, above which one more is needed.
        horizon: seconds that a replica takes to start.
        scale_out_after: seconds for which more must be needed.
        scale_in_after: seconds in which no more than the fewer may have been needed.
        least: replicas that there are always.
        most: replicas that there are never more of.
    """

    target: float = 0.8
    surge_target: float | None = None
    margin: float = 0.1
    queue_wait: float = 0.5
    horizon: float = 300.0
    scale_out_after: float = 15.0
    scale_in_after: float = 600.0
    least: int = 1
    most: int = 64


class Load(NamedTuple):
    """One replica; None is not known.

    Attributes:
        demand: tokens a minute that are asked of it.
        carries: tokens a minute that it carries at least.
        queue: tokens that the requests waiting there need.
        wait: seconds that requests wait there, 95th percentile.
    """

    demand: float | None = None
    carries: float | None = None
    queue: float | None = None
    wait: float | None = None


class Need(NamedTuple):
    """How many replicas are needed, and why, in a sentence."""

    replicas: int
    reason: str


class Fleet:
    """Follows all replicas of a model."""

    def __init__(self) -> None:
        self._said: int | None = None
        self._watch = Lasting()
        self._waits = Lasting()
        self._usual = Usual()
        self._fewer: deque[tuple[float, int]] = deque()

    def observe(
        self,
        time: float,
        loads: Sequence[Load],
        terms: FleetTerms,
        *,
        foreseen: float | None,
        partial: bool = False,
    ) -> Need | None:
        """Return how many replicas are needed; None without a replica that is known.

        Where only some of the replicas are known, what is asked of them is asked at least: more may
        be needed, and never fewer than before. How many there are is then not known either.

        Args:
            time: Unix seconds.
            loads: of every replica that serves now.
            terms: what it follows from.
            foreseen: tokens a minute that will be asked of all of them at the horizon.
            partial: there may be more replicas than `loads` has.
        """
        if not loads or (partial and self._said is None):
            return None
        here = len(loads)
        said = here if self._said is None else self._said
        carries = [load.carries for load in loads if load.carries is not None]
        asked = _asked(loads, terms, foreseen)
        usual = self._usual.level if partial else self._usually(time, loads)
        after = terms.scale_in_after
        if not carries or asked is None:
            up = down = max(here, said)
            what = "capacity" if not carries else "demand"
            reason = f"the {what} of no replica is known: as many as there are"
        elif fmean(carries) < _LEAST:
            up = down = max(here, said)
            reason = "no replica carries anything within its targets: as many as there are"
        else:
            counts = _counts(asked, usual, terms)
            after = max(after, terms.horizon) if counts.surge else after
            each = counts.target * fmean(carries)
            up = math.ceil(counts.demand / each)
            down = math.ceil(counts.demand / each / (1.0 - terms.margin))
            reason = (
                f"{counts.demand:.0f} tokens a minute are {counts.what}, and each carries "
                f"{fmean(carries):.0f}, of which {counts.target:.0%} are used"
            )
            if len(carries) < here:
                reason += f" (known of {len(carries)} of {here})"
            if any(load.demand is None for load in loads):
                down = max(down, here)
        if self._waiting(time, loads, terms) and up <= here:
            up = down = here + 1
            reason = f"requests wait longer than {terms.queue_wait:g} s"
        down = max(up, down, said if partial else 0)
        self._said = _within(self._settled(time, up, down, said, terms, after=after), terms)
        if partial:
            reason += "; that is not all of them, so no fewer than before"
        elif self._said > up:
            reason += f"; {up} would do, {round(after / _MINUTE, 1):g} min are waited for"
        return Need(self._said, reason)

    def _usually(self, time: float, loads: Sequence[Load]) -> float:
        """Return what is asked apart from surges; who does not tell is asked what the others are.

        A replica that tells nothing yet would make the demand fall, and its return a surge.
        """
        known = [load.demand for load in loads if load.demand is not None]
        return self._usual.take(time, fmean(known) * len(loads)) if known else 0.0

    def _waiting(self, time: float, loads: Sequence[Load], terms: FleetTerms) -> bool:
        """Return whether requests have waited for too long at half of the replicas."""
        waits = [load.wait for load in loads if load.wait is not None]
        long = bool(waits) and median(waits) > terms.queue_wait
        return self._waits.lasts(holds=long, time=time, seconds=terms.scale_out_after)

    def _settled(
        self, time: float, up: int, down: int, said: int, terms: FleetTerms, *, after: float
    ) -> int:
        """Return the number that has been needed for long enough; that is `after` for fewer."""
        fewer = self._fewer
        while fewer and not 0.0 <= time - fewer[0][0] <= max(terms.scale_in_after, terms.horizon):
            fewer.popleft()
        first = self._watch.take(holds=True, time=time) or 0.0
        fewer.append((time, down))
        if up > said:
            return up
        if first < after:  # too little was seen
            return said
        return min(said, max(number for then, number in fewer if time - then <= after))


class _Counts(NamedTuple):
    """The demand that the number follows from, the target that goes with it, and what it is."""

    demand: float
    target: float
    what: str
    surge: bool = False


def _counts(asked: float, usual: float, terms: FleetTerms) -> _Counts:
    """Return which needs more: what is asked now, or keeping the reserve for the next surge."""
    if terms.surge_target is None:
        return _Counts(asked, terms.target, "asked or will be")
    if usual / terms.target > asked / terms.surge_target:
        return _Counts(usual, terms.target, "usual")
    return _Counts(asked, terms.surge_target, "asked or will be in a surge", surge=True)


def _asked(loads: Sequence[Load], terms: FleetTerms, foreseen: float | None) -> float | None:
    """Return the tokens a minute that have to be carried, None where nothing is known of them.

    The newest minute counts as it is: averaging a few of them saves replicas, and costs more
    requests at the beginning of a burst than those replicas would (`evaluation/scaling.py`).
    """
    known = [load.demand for load in loads if load.demand is not None]
    if not known:
        return None
    backlog = sum(load.queue or 0.0 for load in loads) * _MINUTE / terms.horizon
    return max(sum(known) + backlog, foreseen or 0.0)


def _within(replicas: int, terms: FleetTerms) -> int:
    """Return a number within the bounds."""
    return min(max(replicas, terms.least), terms.most)
