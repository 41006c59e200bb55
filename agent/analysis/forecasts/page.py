"""What the KV forecast needs of an engine's pages, restarts and gaps cut away."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.window import Column, View
from agent.catalog import engine

_SHORTEST: Final = 15.0
_RECENT: Final = 15.0
_COLUMNS: Final = (
    (engine.KV_CACHE_USAGE, ""),
    (engine.REQUESTS_RUNNING, ""),
    (engine.TIME_TO_FIRST_TOKEN, "_count"),
    (engine.PROMPT_TOKENS, ""),
    (engine.GENERATION_TOKENS, ""),
    (engine.REQUESTS_WAITING, ""),
)
_COUNTED: Final = slice(2, 5)
_WAITING: Final = 5  # that column may be unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Columns of one life of one replica, and the view of the same rows.

    Attributes:
        times: seconds, ascending.
        usage: share of the KV cache in use.
        running: requests in the batch.
        started: requests that had their first token, counted.
        prompt: prompt tokens, counted.
        generated: tokens generated, counted.
        inside: requests in the batch or waiting.
        waiting: requests that wait now.
        held: highest usage while nobody waited.
        preempted: preemptions within the last seconds.
        view: the rows since the restart.
    """

    times: Column
    usage: Column
    running: Column
    started: Column
    prompt: Column
    generated: Column
    inside: Column
    waiting: float
    held: float
    preempted: float
    view: View

    def counts(self) -> Column:
        """Return requests begun in each of the seconds up to the last row."""
        end = float(self.times[-1])
        many = max(int(end - self.times[0]), 1)
        edges = end - np.arange(many, -1, -1.0)
        return np.diff(np.interp(edges, self.times, self.started))

    @property
    def apart(self) -> float:
        """Seconds from one row to the next, on average."""
        return float(self.times[-1] - self.times[0]) / (len(self.times) - 1)


def pages(view: View) -> Pages | None:
    """Return the columns, or None where too little is known."""
    known, times, begin = view.table(_COLUMNS), view.times, 0
    good: NDArray[np.bool_] = ~np.logical_or.reduce(np.isnan(known[:, :_WAITING]), axis=1)
    if not len(good) or not good[-1]:
        return None
    rows = None if good.all() else good.nonzero()[0]
    if rows is not None:
        known, times, begin = known[rows], times[rows], int(rows[0])
    fell = known[1:, _COUNTED] < known[:-1, _COUNTED]
    falls = np.logical_or.reduce(fell, axis=1).nonzero()[0]
    if len(falls):
        first = int(falls[-1]) + 1
        known, times = known[first:], times[first:]
        begin = first if rows is None else int(rows[first])
    if times[-1] - times[0] < _SHORTEST:
        return None
    usage, running, started, prompt, generated, waiting = known.T
    waiting = np.where(np.isnan(waiting), 0.0, waiting)
    free = usage[waiting <= 0]
    alive = view.rows(begin, len(view))
    thrown = alive.last(_RECENT)[engine.PREEMPTIONS]
    thrown = thrown[~np.isnan(thrown)]
    return Pages(
        times=times,
        usage=usage,
        running=running,
        started=started,
        prompt=prompt,
        generated=generated,
        inside=running + waiting,
        waiting=float(waiting[-1]),
        held=float(free.max()) if len(free) else 0.0,
        preempted=float(thrown[-1] - thrown[0]) if len(thrown) else 0.0,
        view=alive,
    )
