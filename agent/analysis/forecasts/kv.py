"""When the KV cache is exhausted, and when the first request is thrown out of the batch.

Method: `population` says what the requests of now will hold and what each that comes will,
`arrivals` how many come and how sure that is, `incoming` what they then hold on each path, `fill`
adds it up. `passage` takes the time at which each path has no room for the next prompt, `endurance`
says what chance has not done so far, `thrown` when those that run need more than is left.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final

import numpy as np

from agent.analysis.forecasts.arrivals import arrivals
from agent.analysis.forecasts.credit import Credit
from agent.analysis.forecasts.doubt import Doubt
from agent.analysis.forecasts.endurance import Endurance
from agent.analysis.forecasts.fill import HORIZON, Fill, Scale, fill
from agent.analysis.forecasts.lengths import Lengths, lengths, spread
from agent.analysis.forecasts.limit import Limit, bounded
from agent.analysis.forecasts.page import Pages, pages
from agent.analysis.forecasts.passage import NOW, Interval, first_passage, interval, stratified
from agent.analysis.forecasts.population import Population, population
from agent.analysis.forecasts.thrown import until_thrown
from agent.analysis.window import Column, View
from agent.catalog import engine
from agent.catalog import forecast as catalog
from agent.model import Metric

EVERY: Final = 5.0
"""Seconds from one calculation to the next; between them the time that passed is taken off."""

SELDOM: Final = 15.0
"""Likewise while the cache is, and by this load stays, less than half full."""

STIRRING: Final = 1.0
"""Likewise while the probability is close to what is warned of and the cache fills further.

Then it alone is new: the intervals only get older, and nothing is put to the test more often.
"""

SOON: Final = 300.0
"""Seconds within which the probability counts."""

_HALF: Final = 0.5
_UNLIKELY: Final = 0.1
_STIRRED: Final = 0.1
_CLOSE: Final = (0.2, 0.6)  # probabilities; what is warned of is among them, with some room

_AHEAD: Final = 12.0  # seconds after which an expectation is compared with what came
_BEGIN: Final = 30.0  # seconds after which it begins to learn
_SEEN: Final = 90.0  # seconds: while an engine starts its load rises, and no end is in sight
_TOO_LATE: Final = 6.0
_MEMORY: Final = 0.85
_LEARNED: Final = 0.06
_SETTLED: Final = 2.0
_WITHIN: Final = stratified(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class KvForecast:
    """What is foreseen; None where nothing is within the horizon, or where too little is known.

    Attributes:
        exhaustion: until the cache has no room for the next prompt.
        preemption: until a request is thrown out of the batch.
        soon: probability that the cache is exhausted within `SOON` seconds, weighed by what came of
            those before; None where unknown.
        level: share of the cache that the load of now fills in the end; None without a forecast.
        known: whether there was enough to go by.
    """

    exhaustion: Interval | None = None
    preemption: Interval | None = None
    soon: float | None = None
    level: float | None = None
    known: bool = False


class KvForecaster:
    """Watches one replica."""

    def __init__(self) -> None:
        self._made: tuple[float, KvForecast] | None = None
        self._used = 0.0
        self._usage = 0.0
        self._tokens = 0.0
        self._stretch = 1.0
        self._weight = 1.0
        self._whole = -inf
        self._between = False
        self._expected: tuple[float, float, float] | None = None
        self._surprise = 1.0
        self._endurance = Endurance()
        self._limit = Limit()
        self._doubt = Doubt()
        self._credit = Credit(within=SOON)

    @property
    def stirs(self) -> bool:
        """Whether the probability is so close to what is warned of that each second counts."""
        soon = None if self._made is None else self._made[1].soon
        return soon is not None and _CLOSE[0] <= soon < _CLOSE[1]

    def observe(self, view: View) -> KvForecast:
        """Return the forecast as of the last row of a view."""
        time = float(view.times[-1])
        due, last = self._is_due(time, view), self._made
        if due or last is None:
            passed = 0.0 if last is None else time - last[0]
            # Calculating more often must not make it learn faster.
            self._weight = min(passed / EVERY, 1.0) if passed > 0.0 else 1.0
            found = self._forecast(view)
            if self._between and last is not None:
                found = _renewed(last[1], found, passed)
            last = self._made = (time, found)
            self._used = view.now(engine.KV_CACHE_USAGE)
        then, made = last
        if time == then or not made.known:
            return made
        passed = time - then
        return KvForecast(
            exhaustion=made.exhaustion and made.exhaustion.later(passed),
            preemption=made.preemption and made.preemption.later(passed),
            soon=made.soon,
            level=made.level,
            known=True,
        )

    def _is_due(self, time: float, view: View) -> bool:
        """Return whether to calculate, and remember whether only the probability is to be new."""
        self._between = False
        every = SELDOM if self._is_calm(view) else EVERY
        if self._made is None or not 0.0 <= time - self._whole < every - 0.5:
            self._whole = time
            return True
        filling = view.now(engine.KV_CACHE_USAGE) >= self._used
        self._between = self.stirs and filling and time - self._made[0] >= STIRRING - 0.5
        return self._between

    def _is_calm(self, view: View) -> bool:
        """Return whether the cache is far from full, now and in what was foreseen, and stays so."""
        if view.now(engine.REQUESTS_WAITING) > 0:
            return False
        if self._made is None or not self._made[1].known:
            return True
        made = self._made[1]
        usage = view.now(engine.KV_CACHE_USAGE)
        foreseen = (made.soon or 0.0) > _UNLIKELY or (made.level or 0.0) > _HALF
        return not (foreseen or usage > _HALF or usage > self._used + _STIRRED)

    def _forecast(self, view: View) -> KvForecast:
        """Calculate."""
        known = pages(view)
        if known is None:
            return KvForecast()
        held_back = known.waiting > 0 or float(known.usage[-1]) > _HALF
        if known.preempted > 0 and held_back:
            self._doubt.take(float(known.times[-1]), NOW)
            self._credit.come(float(known.times[-1]))
            return KvForecast(exhaustion=NOW, preemption=NOW, soon=1.0, known=True)
        finished = known.view.histogram(engine.REQUEST_GENERATION_TOKENS)
        usual = lengths(finished, known.view.times)
        if usual is None or known.times[-1] - known.times[0] < _BEGIN:
            return KvForecast()
        return self._foresee(known, usual)

    def _foresee(self, known: Pages, usual: Lengths) -> KvForecast:
        """Calculate what is not here yet."""
        usual = Lengths(usual.step * self._stretch, usual.survival, usual.mean * self._stretch)
        varied = spread(known.view.histogram(engine.REQUEST_PROMPT_TOKENS))
        who = population(known, usual, spread=varied)
        if who is None:
            return KvForecast(known=True)
        scale = self._calibrate(known, who)
        if scale is None:
            return KvForecast(known=True)
        clients = bounded(known)
        most = self._limit.most(known, who.lifetime, clients)
        line = arrivals(known.counts(), apart=known.apart)
        made = fill(known, who, line, scale, clients=clients, most=most)
        self._learn(known, made)
        if known.times[-1] - known.times[0] < _SEEN:
            return KvForecast()
        if clients is not None and not known.waiting and clients.since > _SETTLED * made.replaced:
            # Everyone who asks is in, and has been for as long as a request lasts: there it is.
            self._credit.weigh(float(known.times[-1]), 0.0)
            return KvForecast(soon=0.0, level=made.settled, known=True)
        return self._passage(known, who, made, scale.each)

    def _calibrate(self, known: Pages, who: Population) -> Scale | None:
        """Return what a token takes, and how the running requests agree with the lengths."""
        running, usage = float(known.running[-1]), float(known.usage[-1])
        explained = float(who.staying[0])
        if running < 1 or not explained > 0 or usage <= 0:  # what is no number would stay for good
            return None
        share = min(running / explained, 1.0)
        # Lives are longer or shorter than those that ended say: aborts, a mix that changes.
        trust = self._weight * 0.15 * running / (running + 16.0)
        off = min(max(running / explained, 0.8), 1.25)
        self._stretch = min(max(self._stretch * off**trust, 0.3), 4.0)
        memory = _MEMORY**self._weight
        self._usage = memory * self._usage + self._weight * usage
        tokens = share * float(who.kept[0]) + max(running - explained, 0.0) * who.prompt
        self._tokens = memory * self._tokens + self._weight * tokens
        return Scale(self._usage / self._tokens, share, self._surprise)

    def _passage(self, known: Pages, who: Population, made: Fill, each: float) -> KvForecast:
        """Return when the fill reaches its limit."""
        time, usage = float(known.times[-1]), float(known.usage[-1])
        full = usage >= made.limit
        self._endurance.take(time, usage, full=full, lifetime=made.unit)
        reached = np.zeros(len(_WITHIN)) if full else self._reached(made)
        room = 1.0 - min(max(made.limit, usage), 1.0)
        more = until_thrown(who, each=each, running=float(known.running[-1]), room=room)
        likely = self._doubt.likely(time)
        exhaustion = NOW if full else interval(reached, HORIZON, likely=likely)
        if full or not self._between:
            self._doubt.take(time, exhaustion)
        soon = float((reached <= SOON).mean())
        if full:
            self._credit.come(time)
        else:
            soon = self._credit.weigh(time, soon)
        return KvForecast(
            exhaustion=exhaustion,
            preemption=interval(reached + more, HORIZON, likely=likely),
            soon=soon,
            level=made.settled,
            known=True,
        )

    def _reached(self, made: Fill) -> Column:
        """Return when each path reaches the limit."""
        levels = made.highest
        reached = first_passage(levels, made.limit, made.times, within=_WITHIN)
        steadily = first_passage(made.expected, made.limit, made.times, within=_WITHIN)
        at = (levels >= made.limit).argmax(axis=1)
        then = made.expected[np.arange(len(at)), at]
        tempered = self._endurance.temper(reached, then, by_chance=steadily > reached)
        return np.minimum(tempered, steadily)

    def _learn(self, known: Pages, made: Fill) -> None:
        """Compare what was expected some seconds ago with what is; widen what was too sure."""
        time = float(known.times[-1])
        if self._expected is not None and time >= self._expected[0]:
            due, mean, wide = self._expected
            if time - due < _TOO_LATE:
                error = (float(known.usage[-1]) - mean) / max(wide, 1e-3)
                self._surprise += _LEARNED * (min(error * error, 9.0) - self._surprise)
                self._surprise = min(max(self._surprise, 0.15), 4.0)
            self._expected = None
        if self._expected is None:
            mean = float(np.interp(_AHEAD, made.times, made.middle))
            wide = float(np.interp(_AHEAD, made.times, made.chance))
            self._expected = (time + _AHEAD, mean, wide)


def _renewed(before: KvForecast, found: KvForecast, passed: float) -> KvForecast:
    """Return a forecast with a new probability; the intervals only get older by themselves."""
    if not (before.known and found.known) or found.exhaustion == NOW:
        return found
    return replace(
        found,
        exhaustion=before.exhaustion and before.exhaustion.later(passed),
        preemption=before.preemption and before.preemption.later(passed),
    )


def samples(
    result: KvForecast, labels: tuple[str, ...]
) -> Iterable[tuple[Metric, tuple[str, ...], float]]:
    """Yield the samples of a forecast.

    Args:
        result: of a replica.
        labels: the values of `catalog.engine.LABELS` for it.
    """
    yield from bounds(catalog.KV_EXHAUSTION, labels, result.exhaustion)
    yield from bounds(catalog.PREEMPTION, labels, result.preemption)
    if result.soon is not None:
        yield catalog.KV_EXHAUSTION_PROBABILITY, labels, result.soon
    if result.level is not None:
        yield catalog.KV_EXPECTED, labels, result.level


def bounds(
    metric: Metric, labels: tuple[str, ...], foreseen: Interval | None
) -> Iterable[tuple[Metric, tuple[str, ...], float]]:
    """Yield the bounds of an interval; `high` is absent where it is beyond the horizon."""
    if foreseen is None:
        return
    yield metric, (*labels, "low"), foreseen.low
    yield metric, (*labels, "estimate"), foreseen.estimate
    if foreseen.high < inf:
        yield metric, (*labels, "high"), foreseen.high


def as_json(result: KvForecast) -> dict[str, Any]:
    """Return a forecast as JSON takes it."""
    return {
        "kv_exhaustion": result.exhaustion and result.exhaustion.as_json(),
        "first_preemption": result.preemption and result.preemption.as_json(),
        "kv_exhaustion_probability": result.soon,
        "kv_expected_ratio": result.level,
        "horizon_seconds": HORIZON,
        "known": result.known,
    }
