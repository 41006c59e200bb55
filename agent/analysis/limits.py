"""Which limits an engine runs under, and where each is known from.

    frame as read ──► told_limits ──► frame that all others see ──► view ──► ReplicaLimits
                      replaces what                                          value and source
                      was read

So whoever reads a limit reads the same: capacity, forecast, verdict, rules, page and history.
"""

import math
from collections.abc import Mapping
from typing import Final

from agent.analysis.capacity.estimate import Limit, Limits, Source
from agent.analysis.replicas import Replica
from agent.analysis.window import View
from agent.catalog import engine
from agent.model import Metric

_SLOTS: Final = frozenset({"llamacpp"})
"""Engines that say themselves how many requests they run at once; of others it is a flag."""


def by_metric(limits: Limits) -> Mapping[Metric, float]:
    """Return the known ones of those limits that can be told, by the metric that shows them."""
    named = {
        engine.MAX_NUM_SEQS: limits.sequences,
        engine.MAX_NUM_BATCHED_TOKENS: limits.step_tokens,
    }
    return {metric: one.value for metric, one in named.items() if one.value is not None}


class ReplicaLimits:
    """Says of one replica which limits hold, and where each is known from.

    Args:
        replica: which.
    """

    def __init__(self, replica: Replica) -> None:
        self._by_itself = replica.engine in _SLOTS
        self._told: Limits | None = None
        self._since = math.nan

    def of(self, view: View, told: Limits) -> Limits:
        """Return the limits as told, and as read where nothing was told.

        Args:
            view: of the replica, at least one row.
            told: of it now. What the view holds from before another was told is not looked at.
        """
        time = float(view.times[-1])
        if told != self._told or not self._since <= time:
            self._told, self._since = told, time
        recent = view.rows(int(view.times.searchsorted(self._since)), len(view))
        command_line: Source = "command_line"
        return Limits(
            sequences=_first(
                told.sequences,
                _read(recent, engine.MAX_NUM_SEQS, "page" if self._by_itself else command_line),
            ),
            step_tokens=_first(
                told.step_tokens, _read(recent, engine.MAX_NUM_BATCHED_TOKENS, command_line)
            ),
            kv_tokens=_first(told.kv_tokens, _read(view, engine.KV_CACHE_CAPACITY, "page")),
        )


def _first(told: Limit, read: Limit) -> Limit:
    """Return the one that is known."""
    return read if told.value is None else told


def _read(view: View, metric: Metric, source: Source) -> Limit:
    """Return the newest value of a limit, unknown where there is none; below 1 is no limit."""
    known = view[metric]
    known = known[known >= 1.0]
    return Limit(float(known[-1]), source) if len(known) else Limit()
