"""The fill of a KV cache on many paths: what is expected, and how chance moves it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.analysis.forecasts.arrivals import Arrivals
from agent.analysis.forecasts.feedback import amplified, feedback
from agent.analysis.forecasts.incoming import incoming
from agent.analysis.forecasts.limit import Bounded
from agent.analysis.forecasts.page import Pages
from agent.analysis.forecasts.passage import excursions, normal, stratified
from agent.analysis.forecasts.population import Population
from agent.analysis.window import Column

HORIZON: Final = 900.0
"""Seconds beyond which nothing is foreseen."""

_GRID: Final = np.geomspace(0.05, 400.0, 36)
_UNIT: Final = HORIZON / 400.0
_FULLEST: Final = 0.99
_LEAST_FULL: Final = 0.9
_TINY: Final = 1e-3
_SETTLED: Final = 4.0
_EXCURSIONS: Final = excursions(_GRID, salt=1)
_MODEL: Final = normal(stratified(8))


@dataclass(frozen=True, slots=True)
class Scale:
    """How the model fits the engine.

    Attributes:
        each: usage of a token.
        share: of the requests that the lengths say run, those that do; at most 1.
        surprise: mean square of the model's errors against what chance explains.
    """

    each: float
    share: float
    surprise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Paths of the usage.

    Attributes:
        times: seconds from now, ascending.
        replaced: seconds in which requests are replaced by others.
        unit: seconds in which chance is forgotten; more, where a larger batch is slower.
        limit: usage at which there is no room for the next prompt.
        expected: mean of each path, shape (paths, times).
        highest: highest of each path within each gap of the times, chance included.
        chance: standard deviation about the mean, as the model has it.
    """

    times: Column
    replaced: float
    unit: float
    limit: float
    expected: Column
    highest: Column
    chance: Column

    @property
    def middle(self) -> Column:
        """Mean of all paths, shape (times,)."""
        mean: Column = self.expected.mean(axis=0)
        return mean

    @property
    def settled(self) -> float:
        """Mean usage some lifetimes from now."""
        at = int(np.searchsorted(self.times, min(self.times[-1], _SETTLED * self.replaced))) - 1
        return float(self.expected[:, at].mean())


def fill(
    known: Pages,
    who: Population,
    line: Arrivals,
    scale: Scale,
    *,
    clients: Bounded | None,
    most: float | None,
) -> Fill:
    """Return the paths.

    Args:
        known: the engine's pages.
        who: what runs, and how requests behave.
        line: how many come.
        scale: how that fits the engine.
        clients: those that each wait for their answer, if that is how requests come.
        most: how many run at once at most, where that is known.
    """
    each, explained = scale.each, scale.share
    usage, running = float(known.usage[-1]), float(known.running[-1])
    # Of clients that each wait no more come because those inside take longer.
    inside = running + known.waiting
    share = feedback(who.slowing, inside, usage) if clients is None else 0.0
    replaced = max(who.lifetime, _UNIT)
    unit = replaced / (1.0 - share)
    times = _GRID * unit
    staying = np.interp(times, who.times, who.staying) * explained
    # Those who run and had no first token yet, or wait, begin now.
    fresh = max(running - float(who.staying[0]), 0.0)
    amiss = usage - each * (explained * float(who.kept[0]) + fresh * who.prompt)
    fresh += known.waiting
    new = incoming(who, line, times, fresh=fresh, staying=staying, running=running)
    kept = each * explained * np.interp(times, who.times, who.kept) + amiss * np.exp(-times / unit)
    kept_variance = explained * np.interp(times, who.times, who.kept_variance)
    variance = (kept_variance + new.variance) * amplified(times, replaced, share)
    if clients is not None:
        # Who ends is replaced: what is left to chance is how much each of them holds.
        variance = np.minimum(variance, inside * who.held_variance)
    chance = each * np.sqrt(variance)
    spread = chance * min(scale.surprise, 1.0) ** 0.5
    # Beyond chance the model itself errs: one way for all of a path.
    wrong = (max(scale.surprise, 1.0) - 1.0) ** 0.5
    expected = kept + each * new.tokens
    expected += wrong * np.outer(_MODEL, spread)
    highest = expected + spread * _EXCURSIONS
    if most is not None:
        # However many come, no more than these run: a full batch is as high as it gets.
        free = np.maximum(most - staying, 0.0)
        whole = kept + each * free * np.interp(times, who.times, who.each_newcomer)
        about = each * np.sqrt(kept_variance + free * who.held_variance)
        expected = np.minimum(expected, whole)
        highest = np.minimum(highest, whole + about * _EXCURSIONS)
    full = 1.0 - min(max(each * who.prompt, 1.0 - _FULLEST), 1.0 - _LEAST_FULL)
    return Fill(
        times=times,
        replaced=replaced,
        unit=unit,
        # What was held while nobody waited is not full.
        limit=max(full, known.held + _TINY),
        expected=expected,
        highest=highest,
        chance=chance,
    )
