"""What the KV forecast needs of an engine's pages, restarts and gaps cut away."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.window import Column, View
from agent.catalog import engine

_SHORTEST: Final = 15.0
_RECENT: Final = 15.0


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
    names = (
        view[engine.KV_CACHE_USAGE],
        view[engine.REQUESTS_RUNNING],
        view.of(engine.TIME_TO_FIRST_TOKEN, suffix="_count"),
        view[engine.PROMPT_TOKENS],
        view[engine.GENERATION_TOKENS],
    )
    columns = np.stack(names)
    good: NDArray[np.bool_] = np.asarray(~np.isnan(columns).any(axis=0))
    if not len(good) or not good[-1]:
        return None
    first = 0
    counters = columns[2:, good]
    falls = np.flatnonzero((np.diff(counters, axis=1) < 0).any(axis=0))
    rows = np.flatnonzero(good)
    if len(falls):
        first = int(falls[-1]) + 1
    rows = rows[first:]
    times = view.times[rows]
    if times[-1] - times[0] < _SHORTEST:
        return None
    usage, running, started, prompt, generated = columns[:, rows]
    alive = view.rows(int(rows[0]), len(view))
    waiting = np.nan_to_num(view[engine.REQUESTS_WAITING][rows])
    free = usage[waiting <= 0]
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
