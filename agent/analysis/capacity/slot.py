"""What a quarter of a minute brought: requests, tokens, their lengths and what they held."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agent.analysis.bins import CUTS, binned, edges
from agent.analysis.capacity.waits import Waits, waits_of
from agent.analysis.window import Column, View, growth
from agent.catalog import engine
from agent.model import Metric

COUNTERS: Final = (
    (engine.TIME_TO_FIRST_TOKEN, "_count"),
    (engine.PROMPT_TOKENS, ""),
    (engine.PROMPT_TOKENS_CACHED, ""),
    (engine.PREFIX_CACHE_HITS, ""),
    (engine.GENERATION_TOKENS, ""),
    (engine.STEPS, ""),
    (engine.INTER_TOKEN_LATENCY, "_sum"),
    (engine.INTER_TOKEN_LATENCY, "_count"),
)
GAUGES: Final = (
    (engine.REQUESTS_RUNNING, ""),
    (engine.REQUESTS_WAITING, ""),
    (engine.KV_CACHE_USED, ""),
    (engine.KV_CACHE_USAGE, ""),
)
LENGTHS: Final = (engine.REQUEST_PROMPT_TOKENS, engine.REQUEST_GENERATION_TOKENS)
ENOUGH_SECONDS: Final = 30.0
"""Seconds with requests from which on the scatter of their lengths is known."""

_QUEUE: Final = 3.0  # times as many must wait as may come within one step, and one
TIMES: Final = (engine.TIME_TO_FIRST_TOKEN, engine.REQUEST_TIME_PER_OUTPUT_TOKEN)


@dataclass(slots=True)
class Spread:
    """Observations of a histogram in bins.

    Attributes:
        middles: of the bins.
        weights: observations in each.
    """

    middles: Column
    weights: Column

    def quantiles(self, count: int) -> Column:
        """Return the quantiles at the middles of so many equal shares."""
        reached = np.cumsum(self.weights)
        shares = (np.arange(count) + 0.5) / count * reached[-1]
        return np.array(self.middles[np.searchsorted(reached, shares)])

    @property
    def count(self) -> float:
        """How many observations there are."""
        return float(self.weights.sum())

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance."""
        count = max(self.count, 1e-9)
        mean = float(self.weights @ self.middles) / count
        return mean, max(float(self.weights @ self.middles**2) / count - mean * mean, 0.0)

    def quantile(self, share: float) -> float:
        """Return one quantile, of at least one observation."""
        reached = np.cumsum(self.weights)
        at = min(int(np.searchsorted(reached, share * reached[-1])), len(reached) - 1)
        return float(self.middles[at])


@dataclass(slots=True)
class Slot:
    """What some seconds brought; NaN where the engine does not say.

    Attributes:
        begin: Unix seconds of their beginning.
        end: of their end.
        requests: first tokens.
        prompt: prompt tokens of those requests.
        cached: of these, found in the cache.
        generated: tokens.
        running: requests in the batch, at the beginning and the end.
        held: sums over the looks with work: one, requests, tokens held, requests squared, and the
            product of requests and tokens.
        gaps: seconds between tokens, and how many of them there were.
        queued: looks at which requests waited, and all looks.
        plateau: largest batch while requests waited.
        usage: mean share of the KV cache in use while requests waited.
        lengths: prompts and outputs of finished requests.
        times: times to first token and per output token.
        sums: what `scatter_of` needs, of computed prompts and of outputs, shape (2, 4).
        restarted: whether the engine began anew.
    """

    begin: float
    end: float
    requests: float
    prompt: float
    cached: float
    generated: float
    running: tuple[float, float]
    held: Column
    gaps: tuple[float, float]
    queued: tuple[float, float]
    plateau: float
    usage: float
    lengths: tuple[Spread | None, Spread | None]
    times: tuple[Waits | None, Waits | None]
    sums: Column = field(default_factory=lambda: np.zeros((2, 4)))
    restarted: bool = False


def slot_of(view: View) -> Slot:
    """Return what the rows of a view brought, of which the first is known already."""
    counted = view.table(COUNTERS)
    sums = [growth(column) for column in counted.T]
    gauges = view.table(GAUGES)
    running, waiting, used, usage = gauges.T
    # As many as arrive within a step wait for nothing but its end.
    arrivals = sums[0] / sums[5] if sums[5] > 0 else 0.0
    waits = waiting >= _QUEUE * (1.0 + (arrivals if arrivals > 0 else 0.0))
    return Slot(
        begin=float(view.times[0]),
        end=float(view.times[-1]),
        requests=sums[0],
        prompt=sums[1],
        cached=sums[2] if sums[2] == sums[2] else sums[3],
        generated=sums[4],
        running=(_ends(running, 0), _ends(running, -1)),
        held=_held(running[1:], used[1:]),
        gaps=(sums[6], sums[7]),
        queued=(float(waits[1:].sum()), float(len(waits) - 1)),
        plateau=float(running[waits].max()) if waits.any() else 0.0,
        usage=float(usage[waits].mean()) if waits.any() else 0.0,
        lengths=_spreads(view, LENGTHS),
        times=_waits(view),
        sums=np.stack((_sums(counted[:, 0], _computed(counted)), _outputs(view))),
        restarted=any(map(_fell, counted.T)),
    )


def together(spreads: Sequence[Spread | None]) -> Spread | None:
    """Return several as one; those with other bins than the newest are left out."""
    some = [one for one in spreads if one is not None]
    if not some:
        return None
    newest = some[-1]
    bins = len(newest.weights)
    weights = np.add.reduce([one.weights for one in some if len(one.weights) == bins])
    return Spread(newest.middles, weights) if weights.sum() > 0 else None


def _spreads(view: View, metrics: tuple[Metric, Metric]) -> tuple[Spread | None, Spread | None]:
    """Return what two histograms observed."""
    one, other = (_spread(view, metric) for metric in metrics)
    return one, other


def _computed(counted: Column) -> Column:
    """Return the prompt tokens that were not found in the cache, NaN where nobody knows when."""
    prompt, cached, hits = counted[:, 1], counted[:, 2], counted[:, 3]
    if not np.isnan(cached).all():
        return np.asarray(prompt - cached)
    # What was found is counted when a request is taken, its prompt when it has its first token.
    found = hits[~np.isnan(hits)]
    return prompt if not len(found) or found[-1] == found[0] else np.full(len(prompt), np.nan)


def _outputs(view: View) -> Column:
    """Return the sums of the outputs of requests that ended."""
    lengths = LENGTHS[1]
    return _sums(view.of(lengths, suffix="_count"), view.of(lengths, suffix="_sum"))


def _sums(counts: Column, tokens: Column) -> Column:
    """Return the sums from which the scatter of lengths follows.

    Args:
        counts: requests so far, of each row.
        tokens: of all of them.

    Returns:
        Seconds with any request, requests, tokens, and squared tokens of a second by its requests.
    """
    known = ~(np.isnan(counts) | np.isnan(tokens))
    some, added = np.diff(counts[known]), np.diff(tokens[known])
    sound = (some > 0) & (added >= 0)
    some, added = some[sound], added[sound]
    return np.array([len(some), some.sum(), added.sum(), (added**2 / some).sum()])


def scatter_of(sums: Column) -> float | None:
    """Return the variance of lengths against the square of their mean; None of too few seconds.

    The tokens of a second in which `k` requests were counted have `k` times their variance, so that
    the weighted squares about the mean tell it, however many come in a second.

    Args:
        sums: as of a slot, or of several added up.
    """
    seconds, requests, tokens, squares = sums.tolist()
    if seconds < ENOUGH_SECONDS or tokens <= 0.0:
        return None
    variance = (squares - tokens**2 / requests) / (seconds - 1.0)
    return float(max(variance, 0.0) / (tokens / requests) ** 2)


def _waits(view: View) -> tuple[Waits | None, Waits | None]:
    """Return the times to first token and per output token that were counted."""
    first, inter = (
        None if histogram is None else waits_of(histogram)
        for histogram in (view.histogram(metric) for metric in TIMES)
    )
    return first, inter


def _spread(view: View, metric: Metric) -> Spread | None:
    """Return what a histogram observed between the rows."""
    count = view.of(metric, suffix="_count")
    if not count[-1] > count[0]:
        return None
    histogram = view.histogram(metric)
    if histogram is None:
        return None
    weights, _totals = binned(histogram)
    ends = edges(histogram.bounds)
    summed = weights.sum(axis=0)
    return Spread((ends[1:] + ends[:-1]) / 2.0, summed) if len(summed) >= CUTS else None


def _held(running: Column, used: Column) -> Column:
    """Return the sums from which tokens held by batch follow."""
    some = (running > 0) & (used > 0)
    n, kv = running[some], used[some]
    return np.array([len(n), n.sum(), kv.sum(), (n * n).sum(), (n * kv).sum()])


def _fell(column: Column) -> bool:
    """Return whether a counter ever was below what it was before."""
    return bool((np.diff(column[~np.isnan(column)]) < 0).any())


def _ends(column: Column, place: int) -> float:
    """Return the first or last known value, 0 of nothing."""
    known = column[~np.isnan(column)]
    return float(known[place]) if len(known) else 0.0
