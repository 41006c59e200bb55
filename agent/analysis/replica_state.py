"""What is concluded about one replica, and what has to be remembered for it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from agent.analysis import advice, capacity_said, cost, kv_flow, latency, step_time
from agent.analysis.bottleneck import Targets, judge
from agent.analysis.evidence import gather, is_held
from agent.analysis.forecasts import kv as kv_forecast
from agent.analysis.guard import Guard
from agent.analysis.kv_flow import KvFlow, KvFlows
from agent.analysis.latency import Latency, LatencyResult
from agent.analysis.pace import Pace, batch_within
from agent.analysis.replica_capacity import CapacityResult, ReplicaCapacity
from agent.analysis.replicas import Replica
from agent.analysis.said_once import SaidOnce, Sample, in_short
from agent.analysis.shifts import QUANTITIES, Shift, find_shift
from agent.analysis.stall import learned_step
from agent.analysis.step_time import StepTime, StepTimeResult
from agent.analysis.surroundings import surroundings
from agent.analysis.terms import Terms
from agent.analysis.told_shifts import ToldShifts
from agent.analysis.verdict import Regime, Regimes, Verdict, changed
from agent.analysis.window import View, rounded
from agent.catalog.verdict import VERDICT, VERDICT_SINCE, Cause
from agent.model import Event, Metric, SeriesTable
from agent.steps import Steps

SHIFTS_EVERY: Final = 15.0
"""Seconds from one look for shifted latencies to the next."""

_CAUSES: Final = tuple((cause, (cause.value,)) for cause in Cause)


class ReplicaState:
    """Follows one replica.

    Args:
        replica: which.
        offset: seconds by which what is dear is shifted against other replicas.
        guard: keeps a part that raises from the others.
    """

    def __init__(self, replica: Replica, *, offset: float, guard: Guard) -> None:
        self.replica = replica
        self._guard = guard
        self.judged_at = -math.inf
        self.foreseen_at = -math.inf
        self.verdict = Verdict(Cause.UNKNOWN, 0.0, "not judged yet")
        self._shifts = ToldShifts()
        self._regimes = Regimes()
        self._usual_step_time = math.nan
        self._offset = offset
        self._step_time = StepTime(offset=offset)
        self._capacity = ReplicaCapacity(replica, offset=offset)
        self._cost = cost.Cost()
        self._currency = ""
        self._latency = Latency(offset=offset)
        self._flows = KvFlows()
        self._forecaster = kv_forecast.KvForecaster()
        self._pace = Pace()
        self._shifts_due = -math.inf
        self._steps = StepTimeResult()
        self._latencies = LatencyResult()
        self._flow = KvFlow()
        self._forecast = kv_forecast.KvForecast()
        self._series: dict[tuple[Metric, tuple[str, ...]], int] = {}
        self._steps_said = SaidOnce(step_time.samples)
        self._latencies_said = SaidOnce(latency.samples)
        self._capacity_said = SaidOnce(capacity_said.samples)
        self._samples: list[Sample] = []
        self._told: tuple[Sequence[int], Sequence[float]] | None = None

    @property
    def capacity(self) -> CapacityResult:
        """What it can carry, what is asked of it and what is left."""
        return self._capacity.result

    @property
    def latencies(self) -> LatencyResult:
        """How long tokens and requests take there."""
        return self._latencies

    def learned(self) -> dict[str, Any]:
        """Return what was learned as what JSON can hold."""
        return {"step_time": self._step_time.state(), "capacity": self._capacity.state()}

    def relearn(self, learned: Mapping[str, Any] | None) -> None:
        """Begin anew with what `learned` gave, or with nothing.

        Raises:
            KeyError: something is missing.
            TypeError: something is of the wrong type.
            ValueError: something is no number.
        """
        step_time = StepTime(offset=self._offset)
        capacity = ReplicaCapacity(self.replica, offset=self._offset)
        if learned is not None:
            step_time.restore(learned["step_time"])
            capacity.restore(learned["capacity"])
        self._step_time, self._capacity = step_time, capacity

    @property
    def estimated_at(self) -> float:
        """When its last estimate was due, Unix seconds; before all times if it had none."""
        return self._capacity.due_at

    def is_due(self, time: float, *, every: float) -> bool:
        """Return whether it is time to estimate, once each so many seconds."""
        return self._capacity.is_due(time, every=every)

    def estimate(
        self, view: View, targets: Targets, *, terms: Terms, per_hour: float | None
    ) -> Steps[None]:
        """Work out anew what it can carry, what is asked of it, what is left and what it costs.

        All that is known stays as it was until the last step. Between the first and that one
        nothing else may be asked of it to observe, and the view must not get further rows.

        Args:
            view: of the replica, at least one row.
            targets: the latencies that its model should keep.
            terms: what the configuration says of capacity and cost.
            per_hour: what its GPUs cost, None where that is not known.
        """
        steps = self._capacity.in_steps(view, step=self._steps, targets=targets, terms=terms)
        time, about = float(view.times[-1]), self.replica._asdict()
        found = yield from self._guard.in_steps("capacity", steps, time=time, about=about)
        if found is None:
            self._capacity.fail()
        self._cost = cost.cost_of(per_hour, self._capacity.result, terms.prices)
        self._currency = terms.prices.currency

    def observe(
        self, view: View, targets: Targets, *, tenants: float, reserved: float | None
    ) -> Steps[Iterable[Event]]:
        """Conclude anew, part by part; give what happened.

        Between two steps each part is known as a whole, anew or as before. The view must not get
        further rows meanwhile.

        Args:
            view: of the replica, at least one row.
            targets: the latencies that its model should keep.
            tenants: bytes that others hold on its GPUs; NaN where that is not known.
            reserved: bytes of KV cache that it was seen to reserve, None where it was not.
        """
        time, about = float(view.times[-1]), self.replica._asdict()
        run = partial(self._guard.run, time=time, about=about)
        flow = partial(self._flows.observe, view, reserved=reserved)
        # What a part said before it failed is not known to hold.
        self._steps = run("step_time", partial(self._step_time.observe, view)) or StepTimeResult()
        yield
        self._latencies = run("latency", partial(self._latency.observe, view)) or LatencyResult()
        self._flow = run("kv_flow", flow) or KvFlow()
        yield
        self._foresee(view)
        yield
        changes = run("verdict", lambda: [*self._judge(view, targets, tenants)])
        if changes is None:
            self.verdict = Verdict(Cause.UNKNOWN, time, "its analysis fails")
        looking = self._look_for_shifts(view)
        shifts = yield from self._guard.in_steps("shifts", looking, time=time, about=about)
        yield
        self._say(view)
        return [*(changes or ()), *(shifts or ())]

    @property
    def stirs(self) -> bool:
        """Whether its forecast should be drawn anew before its next turn."""
        return self._forecaster.stirs

    def foresee(self, view: View) -> None:
        """Draw the forecast anew, and nothing else; `view` as in `observe`."""
        self._foresee(view)
        self._say(view)

    def _foresee(self, view: View) -> None:
        """Take over what is foreseen."""
        time = self.foreseen_at = float(view.times[-1])
        work = partial(self._forecaster.observe, view)
        found = self._guard.run("kv_forecast", work, time=time, about=self.replica._asdict())
        self._forecast = found or kv_forecast.KvForecast()

    def _say(self, view: View) -> None:
        """Put all that stands into samples."""
        time, about = float(view.times[-1]), self.replica._asdict()
        said = self._guard.run("samples", self._said, time=time, about=about)
        self._samples = said or []
        self._told = None

    def _judge(self, view: View, targets: Targets, tenants: float) -> Iterable[Event]:
        """Judge anew; yield the change of regime, if there is one."""
        time = self.judged_at = float(view.times[-1])
        if is_held(view):
            return
        evidence = gather(view, step_time=self._usual_step_time)
        pace = self._pace.compare(self._steps, evidence, time=time)
        # What the GPU did while the engine was stalled says nothing about the steps since.
        beside = view.last(evidence.span) if evidence.resumed else view
        around = surroundings(beside, tenants=tenants, slowdown=pace.slowdown)
        finding = judge(
            evidence,
            around,
            targets,
            prefill_share=pace.prefill_share,
        )
        facts = advice.Facts(
            finding, evidence, around, targets, partial(batch_within, self._pace.model)
        )
        self._usual_step_time = learned_step(
            self._usual_step_time, evidence.step_time, evidence.stuck_for
        )
        before = self._regimes.cause
        change = self._regimes.take(time, finding.cause, lambda: advice.sentence(facts))
        if self._regimes.cause is finding.cause:
            self.verdict = Verdict.of(facts, self._regimes.since)
        if change and before is not self.verdict.cause:
            yield changed(self.verdict, before, self.replica._asdict(), time=time)

    def _look_for_shifts(self, view: View) -> Steps[list[Event]]:
        """Return an event for each latency that has shifted since it was last told."""
        found: list[Event] = []
        time = float(view.times[-1])
        if self._shifts_due - SHIFTS_EVERY <= time < self._shifts_due:
            return found
        self._shifts_due = time + SHIFTS_EVERY
        self._shifts.forget(time)
        for quantity in QUANTITIES:
            yield
            shift = find_shift(view, quantity)
            if shift is None or not self._shifts.take(time, shift):
                continue
            labels = {**self.replica._asdict(), "quantity": quantity}
            message = f"{self.replica.instance_name}: {shift.sentence()}"
            found.append(Event(time, "latency_shifted", "analysis", labels, message))
        return found

    def _said(self) -> list[Sample]:
        """Return everything that stands, with no digits that mean nothing."""
        now = self.verdict
        return [
            *[(VERDICT, labels, float(cause is now.cause)) for cause, labels in _CAUSES],
            (VERDICT_SINCE, (), rounded(now.since)),
            *self._steps_said.of(self._steps),
            *self._latencies_said.of(self._latencies),
            *in_short(kv_flow.samples(self._flow, ())),
            *in_short(kv_forecast.samples(self._forecast, ())),
            *self._capacity_said.of(self._capacity.result),
            *in_short(cost.samples(self._cost, self._currency)),
        ]

    def samples(self, table: SeriesTable) -> tuple[Sequence[int], Sequence[float]]:
        """Return all that stands as series and values; the same lists until the next turn."""
        if self._told is None:
            ids: list[int] = []
            values: list[float] = []
            for metric, labels, value in self._samples:
                key = (metric, labels)
                series_id = self._series.get(key)
                if series_id is None:
                    series_id = self._series[key] = table.intern(metric, (*self.replica, *labels))
                ids.append(series_id)
                values.append(value)
            self._told = (ids, values)
        return self._told

    def capacity_json(self) -> dict[str, Any]:
        """Return what it can carry, what is asked of it, what is left and what it costs."""
        return {
            **self.replica._asdict(),
            "verdict": _verdict(self.verdict),
            **capacity_said.as_json(self._capacity.result),
            "cost": cost.as_json(self._cost, self._currency),
        }

    def as_json(self) -> dict[str, Any]:
        """Return what is known of the replica."""
        return {
            **self.replica._asdict(),
            "verdict": _verdict(self.verdict),
            "regimes": [_regime(regime) for regime in self._regimes.regimes()],
            "shifts": [_shift(shift) for shift in self._shifts],
            "step_time": step_time.as_json(self._steps),
            "latency": latency.as_json(self._latencies),
            "kv_cache": kv_flow.as_json(self._flow),
            "forecasts": kv_forecast.as_json(self._forecast),
        }


def _verdict(verdict: Verdict) -> Mapping[str, Any]:
    """Return a verdict as JSON takes it."""
    return {
        "cause": verdict.cause.value,
        "since": verdict.since,
        "sentence": verdict.sentence,
        "suggestion": verdict.suggestion,
        "numbers": dict(verdict.numbers),
    }


def _regime(regime: Regime) -> Mapping[str, Any]:
    """Return a regime as JSON takes it."""
    return {
        "cause": regime.cause.value,
        "start": regime.start,
        "end": regime.end,
        "sentence": regime.sentence,
    }


def _shift(shift: Shift) -> Mapping[str, Any]:
    """Return a shift as JSON takes it."""
    companions: Sequence[Mapping[str, Any]] = [
        {
            "name": one.name,
            "before": one.before,
            "after": one.after,
            "strength": one.strength,
            "lead_seconds": one.lead,
        }
        for one in shift.companions
    ]
    return {
        "quantity": shift.quantity,
        "began": shift.began,
        "before_seconds": shift.before,
        "after_seconds": shift.after,
        "sentence": shift.sentence(),
        "companions": companions,
    }
