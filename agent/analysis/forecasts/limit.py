"""How many requests an engine runs at once, at most."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.analysis.forecasts.page import Pages
from agent.catalog import engine

_CLIENTS: Final = 60.0
_FEWEST: Final = 4
_OFTEN: Final = 0.3
_BEGUN: Final = 24.0
_SHORTEST: Final = 8.0
_NEWEST: Final = 10
_SPANS: Final = ((0.0, 0.06), (4.0, 0.12))
_GROWING: Final = 120.0
_PAUSES: Final = 4.0
_QUEUED: Final = 15.0
_LOOKS: Final = 4
_TOKENS: Final = 4.0
_ROOM: Final = 0.9


@dataclass(frozen=True, slots=True)
class Bounded:
    """Clients that each wait for their answer.

    Attributes:
        many: how many there are.
        since: seconds for which there have not been more.
    """

    many: float
    since: float


class Limit:
    """How many requests an engine runs at once at most, as told or as its queue once showed.

    While some wait although the cache has room for them, and those that run are as many after
    several tokens of each, they are as many as may. That is remembered until more run.
    """

    def __init__(self) -> None:
        self._shown: float | None = None
        self._started = 0.0

    def most(self, known: Pages, lifetime: float, clients: Bounded | None) -> float | None:
        """Return the limit, None where it is unknown.

        Args:
            known: the engine's pages.
            lifetime: seconds from the first token of a request to its last.
            clients: those that each wait for their answer, if that is how requests come: then no
                more run than there are of them.
        """
        shown = self._remember(known)
        told = known.view.now(engine.MAX_NUM_SEQS)
        if not math.isnan(told):
            shown = told
        if clients is not None:
            return clients.many if shown is None else min(clients.many, shown)
        return _returned_to(known, lifetime) if shown is None else shown

    def _remember(self, known: Pages) -> float | None:
        """Return what the queue shows now, or showed before."""
        begin = int(np.searchsorted(known.times, known.times[-1] - _QUEUED))
        restarted = known.started[-1] < self._started
        self._started = float(known.started[-1])
        if restarted or (self._shown is not None and known.running[begin:].max() > self._shown):
            self._shown = None
        shown = _queued(known, begin)
        self._shown = self._shown if shown is None else shown
        return self._shown


def _queued(known: Pages, begin: int) -> float | None:
    """Return how many run while others wait that the cache has room for, None where none do.

    Args:
        known: the engine's pages.
        begin: the first row to look at.
    """
    none_waits = np.flatnonzero((known.inside - known.running)[begin:] < 1)
    begin += int(none_waits[-1]) + 1 if len(none_waits) else 0
    running = known.running[begin:]
    if len(running) < _LOOKS or known.usage[begin:].max() >= _ROOM:
        return None
    most = float(running.max())
    # A batch that stands because its step takes long proves nothing.
    passed = float(known.generated[-1] - known.generated[begin])
    return most if most - running.min() <= 1 and passed >= _TOKENS * max(most, 1.0) else None


def _returned_to(known: Pages, lifetime: float) -> float | None:
    """Return how many clients there are who each wait for an answer before they ask again.

    They show as a batch that is at its highest most of the time and never above; a stream of
    independent requests is there rarely.
    """
    begin = int(np.searchsorted(known.times, known.times[-1] - max(_CLIENTS, 2.0 * lifetime)))
    running = known.running[begin:]
    most = float(running.max())
    often = float((running == most).mean())
    return most if most >= _FEWEST and often >= _OFTEN else None


def bounded(known: Pages) -> Bounded | None:
    """Return how many clients there are where each waits for its answer before it asks again.

    The number of independent requests inside makes a random walk about a level: its variance is
    that of a Poisson count, or of as many as began and ended. Where it varies by a fraction of that
    while some dozen begin, each was let in by the end of another. While their number still grows,
    one more client after the other, there is no telling; that is over when nobody more came for
    several times as long as it took from one to the next.
    """
    times, inside = known.times, known.inside
    if not any(_varies_little(known, begun, share) for begun, share in _SPANS):
        return None
    peak = np.maximum.accumulate(inside[int(np.searchsorted(times, times[-1] - _GROWING)) :])
    times = times[-len(peak) :]
    rises = np.flatnonzero(np.diff(peak) > 0) + 1
    if not len(rises):
        return Bounded(float(peak[-1]), float(times[-1] - times[0]))
    lasted = float(times[-1] - times[rises[-1]])
    apart = float(times[rises[-1]] - times[0]) / float(peak[-1] - peak[0])
    # Once more than one came, each some time after the last.
    ended = peak[-1] - peak[0] <= 1 or lasted > _PAUSES * apart
    return Bounded(float(peak[rises[-1] :].max()), lasted) if ended else None


def _varies_little(known: Pages, turns: float, share: float) -> bool:
    """Return whether the number inside varied by a share of what chance would make of it.

    Args:
        known: the engine's pages.
        turns: requests that must have begun meanwhile, as a multiple of those inside.
        share: of the variance of independent requests.
    """
    usual = float(known.inside[-_NEWEST:].mean())
    since = known.started[-1] - max(_BEGUN, turns * usual)
    begin = min(
        int(np.searchsorted(known.started, since, side="right")) - 1,
        int(np.searchsorted(known.times, known.times[-1] - _SHORTEST)),
    )
    if begin < 0 or usual < _FEWEST:
        return False
    begun = float(known.started[-1] - known.started[begin])
    return float(known.inside[begin:].var()) <= share * min(begun, usual)
