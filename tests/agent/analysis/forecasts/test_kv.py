"""The KV forecast on simulated engines: what must be foreseen, and what must not."""

import random
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from agent.analysis.forecasts.arrivals import arrivals
from agent.analysis.forecasts.doubt import Doubt
from agent.analysis.forecasts.fill import HORIZON, Fill, Scale, fill
from agent.analysis.forecasts.kv import KvForecast, KvForecaster, as_json, samples
from agent.analysis.forecasts.lengths import lengths
from agent.analysis.forecasts.limit import Bounded
from agent.analysis.forecasts.page import pages
from agent.analysis.forecasts.passage import NOW, PATHS, Interval, interval, normal, stratified
from agent.analysis.forecasts.population import population
from agent.analysis.replicas import Replicas
from agent.analysis.window import View, Window
from agent.catalog import engine, forecast
from agent.model import Frame, SeriesTable
from tests.simulator.engine import Engine
from tests.simulator.law import StepLaw
from tests.simulator.limits import Limits
from tests.simulator.replica import Replica
from tests.simulator.workload import (
    ClosedLoop,
    Lengths,
    Mix,
    OpenLoop,
    Rate,
    Workload,
    ramp,
    steady,
    steps,
)

LAW = StepLaw(host=0.002, weights=0.03, kv=1e-8, token=1e-5)
MIX = Mix(prompt=Lengths(median=300, spread=0.3), output=Lengths(median=400, spread=0.3))
LABELS = ("vllm", "chat", "m", "0")
START = 1_800_000_000.0
# A request takes about 14 s here and holds 510 tokens on average: 7 requests a second are 100
# requests and 51,000 tokens.
BLOCKS = 4000


class Watched:
    """A simulated engine and what is foreseen of it."""

    def __init__(self, workload: Workload, *, blocks: int = BLOCKS) -> None:
        limits = Limits(num_blocks=blocks, max_model_len=4096)
        self.engine = Engine(LAW, limits, workload, dice=random.Random(1))
        self.replica = Replica("chat", [self.engine], start=START - 60.0)
        self.table = SeriesTable()
        self.window = Window(
            [metric for metric in vars(engine).values() if hasattr(metric, "help")]
        )
        self.replicas = Replicas(self.window)
        self.forecaster = KvForecaster()
        self.told: list[tuple[float, KvForecast]] = []

    def view(self) -> View:
        """Return what is known of the engine now."""
        (view,) = self.replicas.views(self.table).values()
        return view

    def run(self, seconds: int) -> "Watched":
        """Let so much time pass."""
        for second in range(len(self.told), len(self.told) + seconds):
            self.engine.advance(float(second + 1))
            ids, values = self.replica.samples(self.table, START + second)
            self.window.append(Frame(START + second, self.table, ids, values))
            self.told.append((float(second), self.forecaster.observe(self.view())))
        return self

    def warned(self, *, before: float = inf) -> list[float]:
        """Return the seconds at which exhaustion was foreseen within five minutes."""
        return [
            time
            for time, found in self.told
            if time < before and found.exhaustion is not None and found.exhaustion.estimate < 300.0
        ]


def arriving(rate: Rate, *, highest: float, seed: int = 3) -> OpenLoop:
    """Return requests that arrive by a rate."""
    return OpenLoop(MIX, rate, highest=highest, dice=random.Random(seed))


def test_ramp_is_foreseen():
    """A load that grows past what fits is foreseen at least half a minute ahead, then it is now."""
    rate = ramp(3.0, 14.0, begin=120.0, length=200.0)
    watched = Watched(arriving(rate, highest=14.0)).run(360)
    (end, *_) = watched.engine.shortages
    warned = watched.warned(before=end)
    assert warned
    assert end - warned[0] >= 30.0
    assert any(found.exhaustion == NOW for time, found in watched.told if time > end)


def test_steady_load_is_silent():
    """A cache that is filled to more than half by a steady load is a level, not a trend."""
    watched = Watched(arriving(steady(5.0), highest=5.0)).run(420)
    assert not watched.engine.shortages
    assert not watched.warned()
    levels = [found.level for _time, found in watched.told[200:] if found.level is not None]
    usage = watched.view()[engine.KV_CACHE_USAGE][-200:].mean()
    assert np.mean(levels) == pytest.approx(usage, rel=0.15)


def test_a_batch_that_slows_itself_down_swings_further():
    """Half of a change comes back: twice the variance, forgotten in twice the time; not of clients.

    The cache is filled to its half here, so the way to a full one leads over half as many requests
    more.
    """
    view = Watched(arriving(steady(5.0), highest=5.0)).run(240).view()
    known = pages(view)
    assert known is not None
    known = replace(known, usage=np.full_like(known.usage, 0.5))
    usual = lengths(view.histogram(engine.REQUEST_GENERATION_TOKENS), view.times)
    assert usual is not None
    who = population(known, usual, spread=0.1)
    assert who is not None
    line, many = arrivals(known.counts()), float(known.running[-1])

    def made(slowing: float, clients: Bounded | None = None) -> Fill:
        slower = replace(who, slowing=slowing / many)
        return fill(known, slower, line, Scale(1e-5, 1.0, 1.0), clients=clients, most=None)

    even, slow = made(0.0), made(0.4)
    assert slow.unit == pytest.approx(2.0 * even.unit)
    assert slow.replaced == even.replaced == even.unit
    assert (slow.chance[-1] / even.chance[-1]) ** 2 == pytest.approx(2.0, rel=0.02)
    assert made(0.4, Bounded(many, 1.0)).unit == even.unit


def test_start_of_a_load_that_fits_is_silent():
    """While a load fills an empty cache, those that will end are counted on: it ends at a level."""
    rate = ramp(0.0, 3.5, begin=100.0, length=1.0)
    watched = Watched(arriving(rate, highest=3.5)).run(260)
    near = [
        time for time in watched.warned() if watched.told[int(time)][1].exhaustion.estimate < 60
    ]
    assert not near


def test_clients_that_wait_are_silent():
    """As many clients as fit, each asking again when it has its answer, never exhaust the cache."""
    workload = ClosedLoop(
        MIX, [(2.0 * number, number + 1) for number in range(80)], dice=random.Random(5)
    )
    watched = Watched(workload).run(420)
    assert not watched.engine.shortages
    assert [time for time in watched.warned() if time > 200.0] == []


def test_end_of_an_overload_is_seen_at_once():
    """Preemptions of seconds ago do not make an engine that is empty by now a full one."""
    rate = steps((0.0, 3.0), (60.0, 16.0))
    load = OpenLoop(MIX, rate, highest=16.0, dice=random.Random(3), until=120.0)
    watched = Watched(load).run(240)
    assert watched.engine.preemptions
    usage = watched.view()[engine.KV_CACHE_USAGE]
    empty = [found for (_time, found), fill in zip(watched.told, usage, strict=True) if fill < 0.3]
    assert all(found.exhaustion != NOW for found in empty)


def test_claims_in_vain_weaken_the_probability_until_it_is_full():
    """Who has foreseen ends in vain says less of the same ramp, and all of it once it is full."""
    rate = ramp(3.0, 14.0, begin=120.0, length=120.0)
    fresh, wary = (Watched(arriving(rate, highest=14.0)) for _ in range(2))
    for earlier in range(60):
        wary.forecaster._credit.weigh(START - 900.0 + 10.0 * earlier, 0.9)
    pairs = []
    for _second in range(300):
        (_time, one), (_time, other) = fresh.run(1).told[-1], wary.run(1).told[-1]
        made = [watched.forecaster._made for watched in (fresh, wary)]
        # They are drawn at other seconds where one is near the rule and the other is not.
        together = None not in made and len({then for then, _found in filter(None, made)}) == 1
        if together and one.soon and other.soon and not fresh.engine.shortages:
            pairs.append((one.soon, other.soon))
    assert pairs
    assert all(less <= more for more, less in pairs)
    assert max(less for _more, less in pairs[:20]) < 0.5 * max(more for more, _less in pairs[:20])
    assert wary.told[-1][1].soon == 1.0


def test_a_probability_near_the_rule_is_drawn_every_second():
    """While the cache fills it is new each second there: five seconds old it came too late."""
    rate = ramp(3.0, 14.0, begin=120.0, length=200.0)
    watched = Watched(arriving(rate, highest=14.0))
    stirred = 0
    for _second in range(330):
        stirs = watched.forecaster.stirs
        used = watched.forecaster._used
        watched.run(1)
        filling = watched.view()[engine.KV_CACHE_USAGE][-1] >= used
        assert watched.forecaster._made is not None
        drawn = watched.forecaster._made[0] == START + watched.told[-1][0]
        assert drawn or not (stirs and filling)
        stirred += stirs and filling
        if watched.engine.shortages:
            break
    assert stirred > 5


def test_what_is_drawn_oftener_learns_no_faster(monkeypatch: pytest.MonkeyPatch):
    """What a token takes is learned by the second: a draw each second weighs a fifth."""
    usual, often = (
        Watched(arriving(steady(5.0), highest=5.0), blocks=3000).run(120) for _ in range(2)
    )
    for watched in (usual, often):
        watched.forecaster._usage = watched.forecaster._tokens = 0.0
        watched.run(20)
        monkeypatch.setattr(KvForecaster, "_is_due", lambda *_given: True)
    assert often.forecaster._usage == pytest.approx(usual.forecaster._usage, rel=0.15)
    assert often.forecaster._tokens == pytest.approx(usual.forecaster._tokens, rel=0.15)


def test_idle_engine_says_nothing():
    """Without requests nothing is foreseen."""
    watched = Watched(arriving(steady(0.0), highest=0.0)).run(60)
    assert all(found.exhaustion is None and found.preemption is None for _t, found in watched.told)


def test_restart_is_survived():
    """After a restart the counters begin at 0; what was before does not count."""
    watched = Watched(arriving(steady(5.0), highest=5.0)).run(100)
    again = Watched(arriving(steady(5.0), highest=5.0))
    again.table, again.window, again.replicas = watched.table, watched.window, watched.replicas
    again.forecaster, again.told = watched.forecaster, []
    for second in range(100, 200):
        again.engine.advance(float(second - 99))
        ids, values = again.replica.samples(again.table, START + second)
        again.window.append(Frame(START + second, again.table, ids, values))
        again.told.append((float(second), again.forecaster.observe(again.view())))
    assert not again.warned()
    assert again.told[-1][1].known


def test_same_columns_same_answer():
    """Two runs over the same samples say the same to the last bit."""
    first, second = (
        Watched(arriving(ramp(3.0, 14.0, begin=60.0, length=90.0), highest=14.0)).run(150)
        for _ in range(2)
    )
    assert first.told == second.told


def test_samples_and_json():
    """An interval is three samples; what is not foreseen is absent; JSON names its units."""
    result = KvForecast(exhaustion=Interval(10.0, 20.0, 40.0), level=1.5, known=True)
    found = list(samples(result, LABELS))
    assert (forecast.KV_EXHAUSTION, (*LABELS, "low"), 10.0) in found
    assert (forecast.KV_EXPECTED, LABELS, 1.5) in found
    assert all(metric is not forecast.PREEMPTION for metric, _labels, _value in found)
    unsure = KvForecast(preemption=Interval(10.0, 20.0, inf), known=True)
    assert [labels[-1] for _metric, labels, _value in samples(unsure, LABELS)] == [
        "low",
        "estimate",
    ]
    shown = as_json(unsure)
    assert shown["kv_exhaustion"] is None
    assert shown["first_preemption"] == {
        "low_seconds": 10.0,
        "estimate_seconds": 20.0,
        "high_seconds": None,
    }
    assert shown["horizon_seconds"] == HORIZON


def test_interval_needs_agreement():
    """Half of the paths must agree, or more after forecasts that did not come true."""
    times = np.full(PATHS, inf)
    times[: PATHS * 6 // 10] = 50.0
    assert interval(times, 900.0) is not None
    assert interval(times, 900.0, likely=0.75) is None


def test_doubt_grows_and_fades():
    """A near forecast of which nothing comes raises the proof needed; time and truth lower it."""
    doubt = Doubt()
    assert doubt.likely(0.0) == 0.5
    doubt.take(0.0, Interval(5.0, 20.0, 60.0))
    assert doubt.likely(50.0) == 0.5
    once = doubt.likely(120.0)
    assert once == pytest.approx(0.75, abs=0.01)
    assert 0.5 < doubt.likely(3720.0) < once
    doubt.take(4000.0, Interval(5.0, 20.0, 60.0))
    doubt.take(4010.0, NOW)
    assert doubt.likely(5000.0) < 0.66


def test_normal_quantiles():
    """The fixed quantiles are those of the standard normal law."""
    drawn = normal(stratified(0))
    assert drawn.mean() == pytest.approx(0.0, abs=1e-3)
    assert drawn.std() == pytest.approx(1.0, abs=0.01)
    assert not np.isnan(drawn).any()
