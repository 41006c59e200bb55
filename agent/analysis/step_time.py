"""Learns what a step of an engine takes from nothing but its own page."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import inf, isnan
from typing import Any, Final, TypeAlias

from agent.analysis.step_evidence import StepEvidence
from agent.analysis.step_fit import fit
from agent.analysis.step_gaps import Gaps
from agent.analysis.step_model import StepTimeModel, Term
from agent.analysis.step_store import StepStore
from agent.analysis.step_windows import Stretch, Stretches
from agent.analysis.window import View
from agent.catalog import latency as catalog
from agent.model import Metric

Sample: TypeAlias = tuple[Metric, tuple[str, ...], float]

EVERY: Final = 60.0
"""Seconds between two fits once there are many stretches; until then a quarter of it."""

_MANY: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimeResult:
    """What is known of the step time of a replica.

    Attributes:
        model: the fitted law, None while there is too little.
        terms: its coefficients by name.
        trusted_to_batch: largest batch up to which it is trusted, None without a model.
        stretches: how many stretches of work are kept.
        changed: Unix seconds at which the law was seen to change, None if never.
        evidence: what the law rests on, None without a model.
    """

    model: StepTimeModel | None = None
    terms: Mapping[str, Term] = field(default_factory=dict)
    trusted_to_batch: float | None = None
    stretches: int = 0
    changed: float | None = None
    evidence: StepEvidence | None = None


class StepTime:
    """Follows one replica.

    Args:
        offset: seconds by which its fits are shifted against those of other replicas.
    """

    def __init__(self, *, offset: float = 0.0) -> None:
        self._stretches = Stretches()
        self._gaps = Gaps()
        self._store = StepStore()
        self._due = -inf
        self._offset = offset % EVERY
        self._pending = False
        self._result = StepTimeResult()

    def observe(self, view: View) -> StepTimeResult:
        """Take the newest ticks of a view, one or several, and return what is known."""
        found = self._stretches.observe(view)
        found += self._gaps.observe(view, busy={stretch.time for stretch in found})
        for stretch in sorted(found, key=lambda one: one.time):
            self._pending = True
            if self._store.add(stretch, self._expected if self._result.model else None):
                self._due = -inf
        time = float(view.times[-1]) if len(view) else -inf
        if self._pending and (time >= self._due or time < self._due - 2 * EVERY):
            self._fit(time)
        return self._result

    def state(self) -> dict[str, Any]:
        """Return what has been learned as what JSON can hold."""
        return {
            "stretches": [asdict(stretch) for _load, stretch in self._store.items()],
            "model": self._result.model.state() if self._result.model else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave.

        Raises:
            KeyError: something is missing.
            TypeError: something is of the wrong type.
            ValueError: something is no number.
        """
        kept = [Stretch(**stretch) for stretch in state["stretches"]]
        model = StepTimeModel.restore(state["model"]) if state["model"] else None
        self._store = StepStore()
        for stretch in sorted(kept, key=lambda one: one.time):
            self._store.add(stretch)
        self._pending = False
        self._conclude(model)

    def _expected(self, stretch: Stretch) -> float:
        """Return the seconds a step that the model gives for the load of a stretch."""
        model = self._result.model
        if model is None:
            return stretch.seconds
        kv = 0.0 if isnan(stretch.kv) else stretch.kv
        return max(1e-9, model.estimate(stretch.prefill, stretch.decode, kv))

    def _fit(self, time: float) -> None:
        """Fit anew."""
        self._pending = False
        kept = list(self._store.items())
        if not kept:  # a clock that was set back can leave none that is young enough
            return
        self._due = time + (EVERY if len(kept) >= _MANY else EVERY / 4)
        if self._result.model is None:
            self._due += self._offset / 4
        found = fit([stretch for _load, stretch in kept], [load for load, _stretch in kept])
        newest = max(stretch.time for _load, stretch in kept)
        self._conclude(None if found is None else StepTimeModel.of(found, newest))

    def _conclude(self, model: StepTimeModel | None) -> None:
        """Work out once what each tick publishes."""
        kept = [stretch for _load, stretch in self._store.items()]
        self._result = StepTimeResult(
            model=model,
            terms=model.terms() if model else {},
            trusted_to_batch=model.trusted_to_batch if model else None,
            stretches=len(self._store),
            changed=self._store.changed,
            evidence=StepEvidence.of(kept, model) if model and kept else None,
        )


def samples(result: StepTimeResult, labels: tuple[str, ...] = ()) -> Iterable[Sample]:
    """Yield the metrics of a replica: metric, label values, value.

    Args:
        result: what is known of it.
        labels: put before the label values of each metric.
    """
    yield catalog.STEP_TIME_STRETCHES, labels, float(result.stretches)
    model = result.model
    if model is None or result.trusted_to_batch is None:
        return
    yield catalog.STEP_TIME_IDENTIFIABLE, labels, float(model.identifiable)
    yield catalog.STEP_TIME_RESIDUAL, labels, model.residual
    yield catalog.STEP_TIME_TRUSTED_BATCH, labels, result.trusted_to_batch
    if not model.identifiable:
        return
    for name, term in result.terms.items():
        if term.identifiable:
            yield catalog.STEP_TIME_COEFFICIENT, (*labels, name), term.value
            yield catalog.STEP_TIME_COEFFICIENT_LOW, (*labels, name), term.low
            yield catalog.STEP_TIME_COEFFICIENT_HIGH, (*labels, name), term.high


def as_json(result: StepTimeResult) -> dict[str, Any]:
    """Return what is known, for people and programs; units are in the names of the keys."""
    model = result.model
    found: dict[str, Any] = {
        "state": "too_few_stretches",
        "stretches": result.stretches,
        "changed_timestamp_seconds": result.changed,
    }
    if model is None or result.trusted_to_batch is None:
        return found
    largest = model.batch[1]
    batches = {model.batch[0], largest / 2, largest, result.trusted_to_batch, 2 * largest}
    return {
        **found,
        "state": "fitted" if model.identifiable else "load_never_varied",
        "residual_ratio": model.residual,
        "explained_ratio": model.explained,
        "bends": model.bends,
        "smallest_batch_seen": model.batch[0],
        "largest_batch_seen": largest,
        "trusted_to_batch": result.trusted_to_batch,
        "coefficients_seconds": {name: term._asdict() for name, term in result.terms.items()},
        "step_seconds_by_batch": [
            {"batch": batch, **model.at_batch(batch)._asdict()} for batch in sorted(batches)
        ],
    }
