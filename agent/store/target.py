"""Labels as Prometheus would have them: those of the target are attached to every series.

They are attached when a series is selected and are not stored, so a renamed instance takes its
history along.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.catalog.declare import PREFIX
from agent.model import Metric, MetricType, Series, SeriesTable
from agent.store.series import Labels, Matcher, satisfies
from agent.store.shape import Shape

_SHAPES: Final = 2048  # what as many selectors found; people ask ever new ones

UP: Final = Metric(
    name="up",
    type=MetricType.GAUGE,
    help="1 at every tick of the agent, as Prometheus says of a target that answers.",
    source="history",
)
"""Not on the page, since Prometheus adds its own there; in the history, since rules ask for it."""


@dataclass(frozen=True, slots=True)
class Target:
    """What Prometheus would know this agent by.

    Attributes:
        job: value of `job`; empty for none.
        instance: value of `instance`; empty for none.
        external: further labels, for series that do not have them themselves.
    """

    job: str = ""
    instance: str = ""
    external: Mapping[str, str] = field(default_factory=dict)

    def attach(self, name: str, pairs: Iterable[tuple[str, str]]) -> Labels:
        """Return the labels of a series as a query sees them.

        A series with a `job` or `instance` of its own keeps it as `exported_job` or
        `exported_instance`, as Prometheus does without `honor_labels`. What a rule wrote has the
        labels that the rule gave it and no others; only collected metrics have the prefix.
        """
        if name != UP.name and not name.startswith(PREFIX):
            own = [(key, value) for key, value in pairs if value]
            return tuple(sorted([*own, ("__name__", name)]))
        labels = dict(pairs)
        for key, value in (("job", self.job), ("instance", self.instance)):
            if not value:
                continue
            if key in labels:
                labels["exported_" + key] = labels[key]
            labels[key] = value
        for key, value in self.external.items():
            labels.setdefault(key, value)
        labels["__name__"] = name
        return tuple(sorted((key, value) for key, value in labels.items() if value))


class Directory:
    """The labels of the series of a table, each made once."""

    def __init__(self, table: SeriesTable, target: Target) -> None:
        self.table = table
        self._target = target
        self._labels: dict[int, Labels] = {}
        self._shapes: dict[tuple[int, ...], Shape] = {}
        self._names: dict[int, str] = {}
        self._chosen: dict[tuple[tuple[Matcher, ...], tuple[int, ...]], tuple[int, ...]] = {}

    def name(self, series_id: int) -> str:
        """Return the name of the samples of a series."""
        found = self._names.get(series_id)
        if found is None:
            found = self._names[series_id] = self.table[series_id].sample_name
        return found

    def choose(self, ids: tuple[int, ...], matchers: tuple[Matcher, ...]) -> tuple[int, ...]:
        """Return those of some series whose labels satisfy every matcher.

        Rows change now and then, the series of one name hardly ever: so what was chosen of them
        is remembered for the next row.
        """
        if not matchers:
            return ids
        key = (matchers, ids)
        found = self._chosen.get(key)
        if found is None:
            if len(self._chosen) >= _SHAPES:
                self._chosen.clear()
            found = self._chosen[key] = tuple(
                series_id for series_id in ids if satisfies(self.labels(series_id), matchers)
            )
        return found

    def labels(self, series_id: int) -> Labels:
        """Return the labels of a series, those of the target included."""
        found = self._labels.get(series_id)
        if found is None:
            series: Series = self.table[series_id]
            found = self._target.attach(series.sample_name, series.label_pairs())
            self._labels[series_id] = found
        return found

    def shape(self, ids: tuple[int, ...]) -> Shape:
        """Return the labels of several series, the same object as long as they are in use."""
        found = self._shapes.get(ids)
        if found is None:
            if len(self._shapes) >= _SHAPES:
                self._shapes.clear()
            found = self._shapes[ids] = Shape(map(self.labels, ids))
        return found

    def keep_only(self, used: Iterable[int]) -> None:
        """Forget the labels of all other series, so that those that come and go cost nothing."""
        used = set(used)
        self._names = {i: name for i, name in self._names.items() if i in used}
        self._chosen.clear()
        self._shapes = {ids: shape for ids, shape in self._shapes.items() if used.issuperset(ids)}
        self._labels = {
            series_id: self._labels[series_id] for series_id in used if series_id in self._labels
        }

    def __len__(self) -> int:
        """Return how many series are remembered."""
        return len(self._labels)
