"""From an engine's page to series of the catalogue, by a plan that holds while the series do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.model import Metric, MetricType, Series, SeriesTable, SourceError
from agent.picking import Pick, picker
from collectors.engines.bounded import bounded
from collectors.engines.bucket_bound import canonical
from collectors.engines.profile import Engine, Fact, Family
from collectors.openmetrics import PageScanner

MAX_SERIES = 100_000
"""Series that one engine may invent; a page that has more of new ones is refused."""

REGAINED = 0.1
"""Series that each look gives back of those, so that no engine is refused for ever."""

_HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")
_UNKNOWN = ("", "None")


class _Slot(NamedTuple):
    """A wanted sample of the page: what the scanner's numbers stand for."""

    name: str
    pairs: tuple[tuple[str, str], ...]

    @property
    def labels(self) -> dict[str, str]:
        """Its labels; plans are made so rarely that it is not worth the memory to keep them."""
        return dict(self.pairs)


@dataclass(frozen=True, slots=True)
class _Use:
    """One place of a sample in the profile: family, which of its names, part of a histogram."""

    family: int
    variant: int
    suffix: str


@dataclass(slots=True)
class Plan:
    """How the values of one layout of the page become series.

    Attributes:
        ids: series of the catalogue.
        picks: for each of them, the index of its value among those that the scanner returns.
        pick: picks those.
        mixed: (index in `ids`, indexes of values, whether to take the largest) where several
            samples make one series.
        doubtful: (series, index of its value) where 0 means unknown.
        counters: indexes in `ids` of what never falls while the engine runs. Of a histogram that
            is the count alone: its parts begin anew together.
        facts: facts on the page, for each rank.
        start_time: index of the value that is the server's start, or -1.
        cut: how many of `ids` have a label value that was too long for one.
    """

    ids: list[int] = field(default_factory=list)
    picks: list[int] = field(default_factory=list)
    pick: Pick = field(default_factory=lambda: picker(()))
    mixed: list[tuple[int, list[int], bool]] = field(default_factory=list)
    doubtful: list[tuple[int, int]] = field(default_factory=list)
    counters: list[int] = field(default_factory=list)
    facts: dict[str, dict[Fact, str]] = field(default_factory=dict)
    start_time: int = -1
    cut: int = 0

    def values(self, raw: Sequence[float]) -> list[float]:
        """Return the values of `ids`."""
        values = [*self.pick(raw)]
        for index, parts, largest in self.mixed:
            together = [raw[part] for part in parts]
            values[index] = max(together) if largest else sum(together)
        return values


class Page(NamedTuple):
    """A page that was read. The plan is the same object while the page's series are the same."""

    plan: Plan
    values: list[float]
    doubtful: list[tuple[int, float]]
    start_time: float | None


class PageMap:
    """Reads the pages of one engine instance.

    Args:
        engine: what its samples mean.
        instance_name: value of that label.
        table: interns the series.
    """

    def __init__(self, engine: Engine, instance_name: str, table: SeriesTable) -> None:
        self._engine = engine
        self._prefix = (engine.name, instance_name)
        self._table = table
        self._uses = _uses(engine)
        self._wanted = {*self._uses, *(facts.name for facts in engine.page_facts)}
        if engine.start_time:
            self._wanted.add(engine.start_time)
        self._left = float(MAX_SERIES)
        self._refused: Sequence[int] | None = None
        self._model = ""
        self._forget()

    def _forget(self) -> None:
        """Start with an empty memory."""
        self._slots: list[_Slot] = []
        self._numbers: dict[_Slot, int] = {}
        self._scanner = PageScanner(self._resolve)
        self._seen: list[int] | None = None
        self._refused = None
        self._plan = Plan()

    def restarted(self) -> None:
        """Take note that the engine was restarted: it may be another in all but its name."""
        self._left = float(MAX_SERIES)

    def name_model(self, model: str) -> None:
        """Set the model name for samples that do not carry one."""
        if model != self._model:
            self._model = model
            self._seen = None

    def read(self, page: bytes) -> Page:
        """Return the series of a page.

        Raises:
            PageError: it is not a whole page in the text format.
            SourceError: it has nothing that the engine's pages have, or too many series.
        """
        slots, raw = self._scanner.scan(page)
        self._left = min(self._left + REGAINED, MAX_SERIES)
        if slots is not self._seen:
            if slots is self._refused:
                if self._left < 1.0:
                    raise _too_many()
            elif self._refused is not None or len(self._slots) > 2 * len(slots) + 1000:
                self._forget()
                slots, raw = self._scanner.scan(page)
            self._plan = self._plan_for(slots)
            self._seen, self._refused = slots, None
        plan = self._plan
        return Page(
            plan,
            plan.values(raw),
            [(series, raw[index]) for series, index in plan.doubtful if raw[index]],
            _known(raw[plan.start_time]) if plan.start_time >= 0 else None,
        )

    def _resolve(self, name: str, labels: Mapping[str, str]) -> int | None:
        """Return the number of a wanted sample."""
        if name not in self._wanted:
            return None
        slot = _Slot(name, tuple(sorted(labels.items())))
        number = self._numbers.setdefault(slot, len(self._slots))
        if number == len(self._slots):
            self._slots.append(slot)
        return number

    def _plan_for(self, slots: Sequence[int]) -> Plan:
        """Return how a page with these samples is read."""
        found = [self._slots[number] for number in slots]
        names = {slot.name for slot in found}
        if not names & self._uses.keys():
            raise SourceError(
                f"the page has nothing of {self._engine.title}: is this the right engine?"
            )
        variants = [_variant(family, names) for family in self._engine.families]
        models = {slot.labels["model_name"] for slot in found if slot.labels.get("model_name")}
        model = models.pop() if len(models) == 1 else self._model
        # Later samples of the same slot replace earlier ones, as Prometheus takes the last.
        parts: dict[int, dict[int, int]] = {}
        families: dict[int, Family] = {}
        cut: set[int] = set()
        for index, (number, slot) in enumerate(zip(slots, found, strict=True)):
            for use in self._uses.get(slot.name, ()):
                if variants[use.family] == use.variant:
                    family = self._engine.families[use.family]
                    labels, is_cut = self._labels(family, slot, model)
                    series = self._series(family, slot, use.suffix, labels)
                    if series is None:
                        self._refused = slots
                        raise _too_many()
                    if is_cut:
                        cut.add(series)
                    parts.setdefault(series, {})[number] = index
                    families[series] = family
        plan = Plan(cut=len(cut))
        for series, samples in parts.items():
            _add(plan, series, families[series], list(samples.values()))
        plan.pick = picker(plan.picks)
        plan.counters += [
            at for at, number in enumerate(plan.ids) if _never_falls(self._table[number])
        ]
        self._add_facts(plan, found)
        return plan

    def _labels(self, family: Family, slot: _Slot, model: str) -> tuple[list[str], bool]:
        """Return the label values of a sample, and whether one had to be cut."""
        engine = self._engine
        said = [slot.labels.get("model_name") or model]
        said.append(slot.labels.get(engine.rank, "") if engine.rank else "")
        said += [
            slot.labels.get(family.labels.get(label, label), "")
            for label in family.metric.labels[len(self._prefix) + len(said) :]
        ]
        kept = [*map(bounded, said)]
        return [*self._prefix, *kept], kept != said

    def _series(
        self, family: Family, slot: _Slot, suffix: str, labels: Sequence[str]
    ) -> int | None:
        """Return the series of the catalogue that a sample belongs to; None for one too many."""
        le = bounded(canonical(slot.labels.get("le", ""))) if suffix == "_bucket" else ""
        found = self._table.find(family.metric, labels, suffix=suffix, le=le)
        if found is not None:
            return found
        if self._left < 1.0:
            return None
        self._left -= 1.0
        return self._table.intern(family.metric, labels, suffix=suffix, le=le)

    def _add_facts(self, plan: Plan, found: Sequence[_Slot]) -> None:
        """Note the facts that stand in labels, and where the start time is."""
        for index, slot in enumerate(found):
            if slot.name == self._engine.start_time:
                plan.start_time = index
            for source in self._engine.page_facts:
                if slot.name == source.name:
                    plan.facts[slot.labels.get(source.rank, "")] = {
                        fact: value
                        for fact, label in source.labels.items()
                        if (value := slot.labels.get(label, "")) not in _UNKNOWN
                    }


def _known(value: float) -> float | None:
    """Return a value, None where it is no number."""
    return value if math.isfinite(value) else None


def _too_many() -> SourceError:
    """Return the error for a page that the table of series has no room for."""
    return SourceError(
        f"the engine invented more than {MAX_SERIES} series: a label of its page has ever new "
        "values; what it had before is read again as soon as it gives no other, or is restarted"
    )


def _add(plan: Plan, series: int, family: Family, samples: list[int]) -> None:
    """Put one series into a plan."""
    if family.zero_is_unknown and len(samples) == 1:
        plan.doubtful.append((series, samples[0]))
        return
    index = len(plan.ids)
    plan.ids.append(series)
    plan.picks.append(samples[0])
    if len(samples) > 1:
        plan.mixed.append((index, samples, family.metric.unit == "ratio"))


def _never_falls(series: Series) -> bool:
    """Return whether a series only falls when the engine begins anew, and then always."""
    return series.metric.type is MetricType.COUNTER or series.suffix == "_count"


def _uses(engine: Engine) -> dict[str, list[_Use]]:
    """Return what each sample name of the engine's page is for."""
    uses: dict[str, list[_Use]] = {}
    for number, family in enumerate(engine.families):
        for variant, names in enumerate(family.names):
            for name in names.split("+"):
                for suffix in _suffixes(family.metric):
                    uses.setdefault(name + suffix, []).append(_Use(number, variant, suffix))
    return uses


def _suffixes(metric: Metric) -> tuple[str, ...]:
    """Return the endings of the metric's sample names."""
    return _HISTOGRAM_PARTS if metric.type is MetricType.HISTOGRAM else ("",)


def _variant(family: Family, names: set[str]) -> int:
    """Return which of the family's names is on the page: the newest; -1 if none is."""
    # `_count` stands for a histogram: one cannot be read without it.
    ending = "_count" if family.metric.type is MetricType.HISTOGRAM else ""
    for variant, together in enumerate(family.names):
        if all(name + ending in names for name in together.split("+")):
            return variant
    return -1
