"""Learns from the page of one replica how much load it can carry."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import exp, hypot, inf, isnan, log, log1p, log2, sqrt
from typing import Any, Final

import numpy as np

from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.bound import System, binding_in_steps, highest_in_steps
from agent.analysis.capacity.built import Builder
from agent.analysis.capacity.calibration import Calibration
from agent.analysis.capacity.estimate import (
    Binding,
    Capacity,
    Criterion,
    Known,
    Limit,
    Limits,
)
from agent.analysis.capacity.mix import FEWEST, MixTracker, Seen
from agent.analysis.capacity.slot import Slot, slot_of
from agent.analysis.capacity.told import around, concurrent, mix_of, rates_of
from agent.analysis.step_model import StepTimeModel
from agent.analysis.step_time import StepTimeResult
from agent.analysis.window import View, rounded
from agent.catalog import engine
from agent.steps import Steps, at_once

WIDEST: Final = log(2.5)
"""Half width of the interval, as a logarithm, beyond which nothing is said."""

OWN_ERROR: Final = 0.08
"""Half width of what the model itself gets wrong, with the true law and the true lengths."""

_WIDE_LATENCY: Final = 0.7 * WIDEST
_TOO_CLOSE: Final = (
    "a target is so close to what it takes at any load that hardly anything is known of the load "
    "that keeps it"
)
_DIFFERENCE: Final = 0.35  # of what two ways to go on beyond the largest batch differ by
_SETTLED: Final = 0.5  # of the chance in what was learned, by a roofline that is believed
_ANYTHING: Final = 1e3  # half width of a step's interval that is as good as any wider one
_DOUBLING: Final = 0.06  # of the time of a step, for each doubling of the largest batch seen
_TIMES: Final = 1.645
_VARIED: Final = 1.3  # largest against smallest batch seen
_PLATEAU: Final = 20.0  # looks with a queue from which a limit is inferred
_ROOMY: Final = 0.85  # fill of the KV cache below which it is not what keeps requests out
_PROMPTS_FIT: Final = 2.5  # and prompts that have to fit into what is left of it
_AGAIN: Final = (90.0, 90.0, 180.0)  # seconds after which each of three is asked anew
_MOVED: Final = 0.1
_ROUGH: Final = 0.02  # precision that is enough for an interval


@dataclass(slots=True)
class _Last:
    """What was found last, so that not all of it is asked anew each time.

    Attributes:
        rate: requests a second.
        binding: what binds it.
        stiffness: by how much the rate falls and rises with a law that is slower and faster, both
            as logarithms.
        apart: by how much it falls and rises with latencies that are as much longer and shorter as
            they may be, as logarithms.
        asked: Unix seconds at which each of these three was asked.
        asked_rate: and the rate then.
    """

    rate: float | None = None
    binding: Binding | None = None
    stiffness: tuple[float, float] | None = None
    apart: tuple[float, float] | None = None
    asked: list[float] = field(default_factory=lambda: [-inf] * 3)
    asked_rate: list[float] = field(default_factory=lambda: [0.0] * 3)

    def due(self, which: int, time: float, rate: float) -> bool:
        """Whether one of the three is to be asked anew; if so, take note of it."""
        moved = abs(rate - self.asked_rate[which]) > _MOVED * rate
        if not moved and 0.0 <= time - self.asked[which] < _AGAIN[which]:
            return False
        # From the second time on they take turns.
        turn = which / 3.0 if self.asked[which] == -inf else 0.0
        self.asked[which], self.asked_rate[which] = time - turn * _AGAIN[which], rate
        return True


class CapacityLearner:
    """Follows one replica.

    Args:
        criterion: what the target between tokens is about.
    """

    def __init__(self, *, criterion: Criterion = "request") -> None:
        self.criterion: Criterion = criterion
        self._mix = MixTracker()
        self._calibration = Calibration.new()
        self._time = float("nan")
        self._queued = 0.0
        self._plateau = 0.0
        self._last = _Last()
        self._builder = Builder()

    def observe(
        self, view: View, *, step: StepTimeResult, limits: Limits, targets: Targets
    ) -> Capacity:
        """Take the newest rows of a view and return what is known; call it every 15 s.

        Args:
            view: of the replica, the last minutes.
            step: the law of its step as known so far.
            limits: as told; what is unknown is inferred where the page allows it.
            targets: latencies that 95 of 100 should not exceed.
        """
        return at_once(self.in_steps(view, step=step, limits=limits, targets=targets))

    def in_steps(
        self, view: View, *, step: StepTimeResult, limits: Limits, targets: Targets
    ) -> Steps[Capacity]:
        """Do what `observe` does, in steps; of the view only the first one reads.

        Between two steps `state` gives what can be gone on from: a minute was taken or was not.
        """
        self._take(view, limits.kv_tokens.value)
        limits = self._inferred(limits)
        yield
        seen = self._mix.seen()
        reason = _missing(step, seen)
        if reason or step.model is None or seen is None:
            return Capacity(reason=reason, limits=limits)
        self._calibration.forget(max(self._mix.changed or 0.0, step.changed or 0.0))
        yield
        plain = yield from self._builder.system(step.model, step.evidence, seen, limits, targets)
        # What engines tell of the time between tokens, they tell of requests.
        yield from self._calibration.in_steps(self._mix.slots(), plain)
        plain = replace(plain, criterion=self.criterion)
        return (yield from self._concluded(plain, step.model, seen, limits))

    def state(self) -> dict[str, Any]:
        """Return what has been learned as what JSON can hold."""
        return {
            "mix": self._mix.state(),
            "calibration": self._calibration.state(),
            "time": None if isnan(self._time) else self._time,
            "queued": self._queued,
            "plateau": self._plateau,
            "rate": self._last.rate,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave.

        Raises:
            KeyError: something is missing.
            TypeError: something is of the wrong type.
            ValueError: something is no number.
        """
        mix = MixTracker()
        mix.restore(state["mix"])
        calibration = Calibration.restore(state["calibration"])
        time, rate = state["time"], state["rate"]
        queued, plateau = float(state["queued"]), float(state["plateau"])
        last = _Last(rate=None if rate is None else float(rate))
        self._time = float("nan") if time is None else float(time)
        self._mix, self._calibration, self._last = mix, calibration, last
        self._queued, self._plateau = queued, plateau

    def _take(self, view: View, kv_tokens: float | None) -> None:
        """Take the rows that are new, with the last known one before them."""
        known = np.flatnonzero(~np.isnan(view[engine.GENERATION_TOKENS]))
        if not len(known):
            return
        # What a missed page would have told is in the next one: that belongs to the next slot.
        view = view.rows(0, int(known[-1]) + 1)
        time = float(view.times[-1])
        self._time = min(self._time, time)  # the clock may have been set back
        first = 0 if isnan(self._time) else int((view.times <= self._time).sum())
        first = max(first - 1, 0)
        if len(view) - first < 2:  # noqa: PLR2004 - growth needs two rows
            return
        slot = slot_of(view.rows(first, len(view)))
        self._time = time
        if not isnan(slot.generated):
            self._mix.add(slot)
            self._learn_limit(slot, kv_tokens)

    def _learn_limit(self, slot: Slot, kv_tokens: float | None) -> None:
        """Note how large the batch is while requests wait and the KV cache has room.

        A small cache has no room long before it is full: the next prompt does not fit.
        """
        if slot.restarted:
            self._queued = self._plateau = 0.0
            return
        free = inf if kv_tokens is None else (1.0 - slot.usage) * kv_tokens
        prompt = slot.prompt / slot.requests if slot.requests > 0 else 0.0
        if slot.queued[0] and slot.usage < _ROOMY and free > _PROMPTS_FIT * prompt:
            self._queued += slot.queued[0]
            self._plateau = max(self._plateau, slot.plateau)

    def _inferred(self, limits: Limits) -> Limits:
        """Return the limits with what the page shows of those that nobody told."""
        if limits.sequences.value is not None or self._queued < _PLATEAU:
            return limits
        return replace(limits, sequences=Limit(self._plateau, "inferred"))

    def _concluded(
        self, plain: System, model: StepTimeModel, seen: Seen, limits: Limits
    ) -> Steps[Capacity]:
        """Return the capacity with its interval."""
        paced = plain.slower(self._calibration.pace(model.slowness))
        speed = self._calibration.speed(paced.stability)
        system = replace(
            paced.slower(1.0 / speed),
            factors=self._calibration.factors(self._last.rate, model.slowness),
        )
        stability = system.stability
        rate, borne = yield from highest_in_steps(system, guess=self._last.rate)
        self._last.rate = rate or None
        binds = yield from self._binding(system, rate)
        yield
        batch = (borne or system.latencies(0.5 * stability)).batch
        unsure = _unsure(model, system, seen, batch)
        down, up = yield from self._stiffness(system, rate, unsure)
        slow, fast = rate * (1.0 + unsure) ** -down, rate * (1.0 + unsure) ** up
        if not rate:
            by = exp(sqrt(log1p(unsure) ** 2 + OWN_ERROR**2))
            faster = system.slower(1.0 / by)
            fast = (yield from highest_in_steps(faster, precision=_ROUGH)).rate
        tight, loose = yield from self._apart(system, rate)
        own = (hypot(OWN_ERROR, tight), hypot(OWN_ERROR, loose))
        under = around(rate, slow, fast, own=own, mix=seen.error)
        at_full = _unsure(model, system, seen, min(system.room.seats, system.room.memory))
        full = around(
            stability,
            stability / (1.0 + at_full),
            stability * (1.0 + at_full),
            own=(OWN_ERROR, OWN_ERROR),
            mix=seen.error,
        )
        if rate > 0.0 and log(under.high / max(under.low, 1e-9)) > 2.0 * WIDEST:
            if max(own) > _WIDE_LATENCY:
                return Capacity(reason=_TOO_CLOSE, limits=limits)
            return Capacity(reason=_too_unsure(model, batch, unsure), limits=limits)
        known = Known(
            under_targets=rates_of(under, seen),
            stability=rates_of(full, seen),
            binding=binds,
            batch=rounded(batch),
            batch_seen=model.batch,
            tokens_seen=seen.rates,
            evidence_age=max(0.0, self._time - model.time),
            evidence=model.stretches,
            mix=mix_of(seen),
            concurrent=concurrent(seen, limits),
        )
        return Capacity(known=known, reason="", limits=limits)

    def _binding(self, system: System, rate: float) -> Steps[Binding]:
        """Return what binds."""
        last = self._last
        if last.due(0, self._time, rate) or last.binding is None:
            load = rate or 0.02 * system.stability
            last.binding = yield from binding_in_steps(system, load)
        return last.binding

    def _stiffness(self, system: System, rate: float, unsure: float) -> Steps[tuple[float, float]]:
        """Return by how much the rate falls and rises with steps that take longer and shorter."""
        last = self._last
        if last.due(1, self._time, rate) or last.stiffness is None:
            by = log1p(max(unsure, 0.05))
            trial = rate or 0.5 * system.stability
            found: list[float] = []
            for sign in (1.0, -1.0):
                slower, guess = system.slower(exp(sign * by)), trial * exp(-sign * by)
                borne = yield from highest_in_steps(slower, guess=guess, precision=_ROUGH)
                found.append(borne.rate)
            slow, fast = found
            down = log(rate / max(slow, 0.05 * rate)) if rate else 1.0
            up = log(max(fast, rate) / rate) if rate else 1.0
            last.stiffness = (down / by, up / by)
        return last.stiffness

    def _apart(self, system: System, rate: float) -> Steps[tuple[float, float]]:
        """Return by how much the rate may be off for what latencies may be off."""
        last = self._last
        if rate and (last.due(2, self._time, rate) or last.apart is None):
            doubts = self._calibration.doubts(rate)
            down, up = last.apart or (0.0, 0.0)
            found: list[float] = []
            for sign, guess in ((1.0, rate * exp(-down)), (-1.0, rate * exp(up))):
                later = _later(system, doubts, sign)
                borne = yield from highest_in_steps(later, guess=guess, precision=_ROUGH)
                found.append(borne.rate)
            tight, loose = found
            last.apart = log(rate / max(tight, 0.05 * rate)), log(max(loose, rate) / rate)
        return last.apart or (1.0, 1.0)


def _later(system: System, doubts: tuple[float, float], sign: float) -> System:
    """Return a system whose latencies are as much longer or shorter as they are unsure."""
    first, inter = (exp(sign * doubt) for doubt in doubts)
    return replace(system, factors=(system.factors[0] * first, system.factors[1] * inter))


def _too_unsure(model: StepTimeModel, batch: float, unsure: float) -> str:
    """Return why too little is known of steps with so many requests.

    Args:
        model: of the steps.
        batch: requests in the batch.
        unsure: half width of the interval of a step, relative.
    """
    if model.drift > 0.0 and (batch <= model.batch[1] or _TIMES * model.drift > 0.5 * unsure):
        return (
            f"what a step of the same load takes differs by {model.drift:.0%} from one minute to "
            "the next, too much to tell what it will take"
        )
    return (
        f"its steps were seen with {model.batch[0]:.3g} to {model.batch[1]:.3g} requests, "
        f"which does not tell enough of them with {batch:.3g}"
    )


def _missing(step: StepTimeResult, seen: Seen | None) -> str:
    """Return why nothing can be said, empty where something can."""
    if step.model is None:
        return (
            f"the time of its step is not known yet: {step.stretches} stretches of work were seen"
        )
    smallest, largest = step.model.batch
    if largest < _VARIED * max(smallest, 1.0):
        return "its load has hardly varied, so that nothing is known of other loads"
    if seen is None:
        return f"fewer than {FEWEST:.0f} requests of the present mix were seen"
    return ""


def _unsure(model: StepTimeModel, system: System, seen: Seen, batch: float) -> float:
    """Return the half width of the interval of a step at a batch, relative to its time.

    That of the learned law up to the largest batch seen; beyond, what the two ways to go on differ
    by comes on top, and something for each doubling. How the stretches share out what they took is
    less of a chance where a roofline is believed, of which part is known beforehand.
    """
    shape = seen.shape
    share = (shape.output - 1.0) / shape.output
    largest = max(model.batch[1], 1.0)
    inside = min(batch, largest / share)
    prefill = inside * shape.prompt / shape.output
    held = seen.held * inside + seen.shared
    found = model.predict(prefill, inside * share, held, drifting=True)
    known = (found.high - found.estimate) / max(found.estimate, 1e-9)
    if batch > inside:
        # How steep the law is, is known by what was seen; farther away that matters more.
        prefill *= batch / inside
        held = seen.held * batch + seen.shared
        far = model.predict(prefill, batch * share, held, drifting=True)
        here = np.array(batch * share)
        law = system.law.without_prompts(here) + system.law.prompts(np.array(prefill), here)
        known = max(known, (far.high - far.estimate) / max(far.estimate, float(law)))
    known *= 1.0 - _SETTLED * system.law.believed
    doublings = log2(max(batch * share / largest, 1.0))
    apart = _DIFFERENCE * system.law.doubt_at(batch * share)
    drift = _TIMES * model.drift
    # Also where that is no number: then too nothing is claimed.
    return min(_ANYTHING, sqrt(known**2 + apart**2 + (_DOUBLING * doublings) ** 2 + drift**2))
