"""The autoscalers that are compared: by the agent's signals, and by what is commonly used."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from agent.analysis.asked import demand_of
from agent.analysis.bottleneck import Targets as AgentTargets
from agent.analysis.capacity.estimate import Known
from agent.analysis.capacity.learner import CapacityLearner
from agent.analysis.demand.forecaster import DemandForecaster
from agent.analysis.engines import WANTED
from agent.analysis.latency import Latency
from agent.analysis.replicas import Replicas
from agent.analysis.signals import fleet as core
from agent.analysis.step_time import StepTime
from agent.analysis.window import Window
from agent.catalog import engine as catalog
from agent.catalog.latency import Quantity
from agent.model import Frame, SeriesTable
from evaluation.bursty_days import LIMITS, MOST, TARGETS, bearable
from evaluation.capacity import limits_of
from tests.simulator.fleet import Fleet, Member
from tests.simulator.replica import Replica

EVERY: Final = 15
"""Seconds from one decision to the next."""

PAGE_EVERY: Final = 2
"""Seconds from one look of the agent at a page to the next."""

_TOLERANCE: Final = 0.1  # of HPA
DOWN: Final = 300
"""Seconds for which the common autoscalers wait before they scale in, as HPA does."""

LEAN: Final = core.FleetTerms(
    target=0.75, surge_target=1.2, margin=0.0, scale_in_after=30.0, most=MOST
)
"""The scaler set to keep a reserve for a surge, and none for a second one while it lasts."""

_START: Final = 1_800_000_000.0
_KEPT: Final = WANTED | {catalog.REQUEST_TIME_PER_OUTPUT_TOKEN}
_JUDGE_EVERY: Final = 5
_ESTIMATE_EVERY: Final = 90
_TARGETS: Final = AgentTargets(
    time_to_first_token=TARGETS.first_token, inter_token_latency=TARGETS.inter_token
)


class Scaler(Protocol):
    """Says how many replicas there should be."""

    def second(self, fleet: Fleet) -> None:
        """Take note of a second."""
        ...

    def replicas(self, fleet: Fleet) -> int:
        """Return how many there should be; asked every 15 seconds."""
        ...


class Common:
    """Scales by a sum over replicas against a target of each, as HPA does.

    Args:
        total: what is added up.
        target: of each replica.
    """

    def __init__(self, total: Callable[[Fleet], float], target: float) -> None:
        self._total = total
        self._target = target
        self._asked: deque[tuple[int, int]] = deque()

    def second(self, fleet: Fleet) -> None:
        """Do nothing."""

    def replicas(self, fleet: Fleet) -> int:
        """Return how many there should be."""
        serving, wanted = len(fleet.serving()), fleet.wanted
        asked = math.ceil(self._total(fleet) / self._target - 1e-9)
        if abs(asked / wanted - 1.0) <= _TOLERANCE:
            asked = wanted
        if asked < wanted:  # those that start are taken to be as busy as they should be
            asked = min(wanted, asked + wanted - serving)
        self._asked.append((fleet.now, asked))
        while self._asked[0][0] <= fleet.now - DOWN:
            self._asked.popleft()
        return min(MOST, max(1, asked, *(min(wanted, one) for _now, one in self._asked)))


def waiting(fleet: Fleet) -> float:
    """Return the requests that wait."""
    return float(sum(one.engine.waiting for one in fleet.serving()))


def kv_used(fleet: Fleet) -> float:
    """Return the shares of the KV cache in use, added up."""
    usable = LIMITS.num_blocks - 1
    return sum(1.0 - one.engine.free_blocks / usable for one in fleet.serving())


class Rates:
    """What grew since it was asked last, a second."""

    def __init__(self, of: Callable[[Member], float], seconds: int) -> None:
        self._of = of
        self._seconds = seconds
        self._seen: deque[dict[int, float]] = deque(maxlen=seconds // EVERY + 1)

    def __call__(self, fleet: Fleet) -> float:
        """Return the sum over the replicas that serve."""
        self._seen.append({one.number: self._of(one) for one in fleet.serving()})
        before, now = self._seen[0], self._seen[-1]
        span = max(1, len(self._seen) - 1) * EVERY
        return sum(value - before.get(number, 0.0) for number, value in now.items()) / span


def busy() -> Callable[[Fleet], float]:
    """Return what adds up the GPU utilisations: the share of time with some kernel at work."""
    total: dict[int, float] = {}

    def of(one: Member) -> float:
        spent, _holds = one.engine.ledger.look(one.engine.now)
        total[one.number] = total.get(one.number, 0.0) + spent.gpu
        return total[one.number]

    return Rates(of, EVERY)


def served() -> Callable[[Fleet], float]:
    """Return what adds up the tokens a minute, prompt and generated, that were served."""

    def of(one: Member) -> float:
        return 60.0 * (one.meter.counts[3] + one.meter.counts[6])

    return Rates(of, 60)


class _Watched:
    """One replica as the agent sees it."""

    def __init__(self, member: Member) -> None:
        self.replica = Replica(f"r{member.number}", [member.engine], start=_START + member.ready)
        self.table = SeriesTable()
        self.window = Window(_KEPT)
        self.views = Replicas(self.window)
        self.steps = StepTime()
        self.learner = CapacityLearner()
        self.latency = Latency()
        self.known: Known | None = None
        self.load = core.Load()

    def page(self, now: int) -> None:
        """Read its page."""
        ids, values = self.replica.samples(self.table, _START + now)
        self.window.append(Frame(_START + now, self.table, ids, values))

    def judge(self, now: int) -> None:
        """Draw the conclusions that the agent would."""
        view = next(iter(self.views.views(self.table).values()), None)
        if view is None:  # not a page yet
            return
        step = self.steps.observe(view)
        if now % EVERY:
            return
        latency = self.latency.observe(view)
        if now % _ESTIMATE_EVERY == 0:
            self.known = self.learner.observe(
                view, step=step, limits=limits_of(view), targets=_TARGETS
            ).known
        said = self.known
        demand = demand_of(view, said.mix if said else None)
        queue = latency.recent.get(Quantity.QUEUE)
        self.load = core.Load(
            demand=demand.tokens_per_minute,
            carries=said.under_targets.tokens_per_minute.low if said else None,
            queue=demand.queue_tokens,
            wait=queue.quantile(0.95) if queue else None,
        )


class Signals:
    """Scales by the agent's signals, as `inferwatch scaler` does."""

    def __init__(self, terms: core.FleetTerms | None = None) -> None:
        self.terms = terms or core.FleetTerms(most=MOST)
        self._core = core.Fleet()
        self._watched: dict[int, _Watched] = {}
        self._forecaster = DemandForecaster(horizon=self.terms.horizon)
        self.said: list[str] = []

    def second(self, fleet: Fleet) -> None:
        """Read the pages, judge, and learn the demand of each minute."""
        for one in fleet.serving():
            watched = self._watched.get(one.number)
            if watched is None:
                watched = self._watched[one.number] = _Watched(one)
            if fleet.now % PAGE_EVERY == 0:
                watched.page(fleet.now)
            if fleet.now % _JUDGE_EVERY == 0:
                watched.judge(fleet.now)
        if fleet.now % 60 == 0:
            known = [one.demand for one in self._loads(fleet)]
            asked = [demand for demand in known if demand is not None]
            if asked:
                self._forecaster.learn([_START + fleet.now], [sum(asked)])

    def _loads(self, fleet: Fleet) -> list[core.Load]:
        """Return what is known of each replica that serves."""
        return [self._watched[m.number].load for m in fleet.serving() if m.number in self._watched]

    def replicas(self, fleet: Fleet) -> int:
        """Return how many there should be."""
        now = _START + fleet.now
        ahead = self._forecaster.forecast(now, self.terms.horizon)
        foreseen = None if ahead is None else self.level(ahead)
        need = self._core.observe(now, self._loads(fleet), self.terms, foreseen=foreseen)
        return fleet.wanted if need is None else need.replicas

    def level(self, ahead: Any) -> float:
        """Return which end of a forecast counts."""
        return float(ahead.estimate)


def scalers() -> Mapping[str, Callable[[], Scaler]]:
    """Return what is compared, by name."""
    return {
        "signals": Signals,
        "signals, lean": lambda: Signals(LEAN),
        "queue length": lambda: Common(waiting, 5.0),
        "KV cache use": lambda: Common(kv_used, 0.8),
        "GPU utilisation": lambda: Common(busy(), 0.8),
        "throughput": lambda: Common(served(), 0.8 * bearable()[1]),
    }
