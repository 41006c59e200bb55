"""How many requests an engine runs at once, at most."""

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


@dataclass(frozen=True, slots=True)
class Bounded:
    """Clients that each wait for their answer.

    Attributes:
        many: how many there are.
        since: seconds for which there have not been more.
    """

    many: float
    since: float


def sequences(known: Pages, lifetime: float, clients: Bounded | None) -> float | None:
    """Return how many requests can run: as told, as the queue shows, or as there are clients.

    Clients that each wait for an answer before they ask again show as a batch that is at its
    highest most of the time and never above; a stream of independent requests is there rarely.
    """
    told = known.view[engine.MAX_NUM_SEQS]
    if len(told) and not np.isnan(told[-1]):
        return min(float(told[-1]), clients.many) if clients else float(told[-1])
    waiting = known.view.last(15.0)[engine.REQUESTS_WAITING]
    running = known.running[-min(15, len(known.running)) :]
    most = float(running.max())
    if len(waiting) and waiting.min() >= 1 and most - running.min() <= 1:
        return most
    if clients is not None:
        return clients.many
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
