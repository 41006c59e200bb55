"""How many requests an engine runs at once, at most."""

from typing import Final

import numpy as np

from agent.analysis.forecasts.page import Pages
from agent.catalog import engine

_CLIENTS: Final = 60.0
_FEWEST: Final = 4
_OFTEN: Final = 0.3


def sequences(known: Pages, lifetime: float) -> float | None:
    """Return how many requests can run: as told, as the queue shows, or as there are clients.

    Clients that each wait for an answer before they ask again show as a batch that is at its
    highest most of the time and never above; a stream of independent requests is there rarely.
    """
    told = known.view[engine.MAX_NUM_SEQS]
    if len(told) and not np.isnan(told[-1]):
        return float(told[-1])
    waiting = known.view.last(15.0)[engine.REQUESTS_WAITING]
    running = known.running[-min(15, len(known.running)) :]
    most = float(running.max())
    if len(waiting) and waiting.min() >= 1 and most - running.min() <= 1:
        return most
    begin = int(np.searchsorted(known.times, known.times[-1] - max(_CLIENTS, 2.0 * lifetime)))
    running = known.running[begin:]
    most = float(running.max())
    often = float((running == most).mean())
    return most if most >= _FEWEST and often >= _OFTEN else None
