"""The nouns that every part of the agent shares.

A *metric* is declared once, in `agent.catalog`. A *series* is a metric with values for its
labels; the `SeriesTable` turns it into one small integer on first sight. From then on a
*sample* is two numbers, and what a source saw is two flat, parallel lists: series and value.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Final, Protocol


class InferwatchError(Exception):
    """Root of the errors that the agent raises on purpose; the message is for its user.

    Attributes:
        exit_status: with which it ends a command: 2 where the input is wrong, 1 where it failed.
    """

    exit_status: ClassVar[int] = 2


class ConfigError(InferwatchError):
    """The configuration cannot be used; the message lists every problem with its line."""


class SourceError(InferwatchError):
    """A source is there but did not give what it should: it is broken, and is tried again.

    Attributes:
        facts: what is known all the same, mostly of the failure; shown until the next look.
    """

    def __init__(self, *args: object, facts: "Reading | None" = None) -> None:
        """Take the message, and what is known all the same."""
        super().__init__(*args)
        self.facts = EMPTY_READING if facts is None else facts


class UnavailableError(SourceError):
    """A source does not exist on this host: a fact to publish, not a failure to alert on."""


class RecordingError(InferwatchError):
    """A recording cannot be read; the message says where it stops making sense."""


class RecordingFailedError(RecordingError):
    """A recording cannot be written, or is whole and holds nothing."""

    exit_status = 1


class MetricType(StrEnum):
    """The metric types of the Prometheus exposition formats that the agent uses."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"
    STATESET = "stateset"


class History(StrEnum):
    """How long a metric is worth remembering, and how finely."""

    FULL = "full"
    FIVE_MINUTES = "5m"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Metric:
    """One metric of the catalogue. Compared by identity: each is declared exactly once.

    Attributes:
        name: full name with prefix and unit, as Prometheus samples carry it: a counter ends in
            `_total`, an info in `_info`.
        type: the exposition type.
        help: one sentence for the HELP line.
        labels: label names, in the order in which label values are given.
        unit: base unit (`seconds`, `bytes`, …) or empty.
        source: where the number comes from, for `docs/metrics.md`.
        history: how the embedded history keeps it.
        peaks: whether `_max` and `_min` over the trailing window are published as well.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    source: str = ""
    history: History = History.FULL
    peaks: bool = False

    @property
    def family(self) -> str:
        """Name on the HELP and TYPE lines of OpenMetrics: without `_total` and `_info`."""
        endings = {MetricType.COUNTER: "_total", MetricType.INFO: "_info"}
        return self.name.removesuffix(endings.get(self.type, ""))


@dataclass(frozen=True, slots=True)
class Series:
    """A metric with label values: what one number on the page is about.

    Attributes:
        metric: the declaration.
        labels: one value for each of `metric.labels`; empty means that the label is absent.
        suffix: empty, or `_bucket`, `_sum`, `_count` for the parts of a histogram.
        le: upper bound of a bucket as its source wrote it, else empty.
    """

    metric: Metric
    labels: tuple[str, ...]
    suffix: str = ""
    le: str = ""

    @property
    def sample_name(self) -> str:
        """Name as it stands on a sample line."""
        return self.metric.name + self.suffix

    def label_pairs(self) -> list[tuple[str, str]]:
        """Return the labels that are present, `le` last."""
        pairs = [
            (name, value)
            for name, value in zip(self.metric.labels, self.labels, strict=True)
            if value
        ]
        if self.le:
            pairs.append(("le", self.le))
        return pairs


SUFFIXES: Final = ("", "_bucket", "_sum", "_count")
"""What `Series.suffix` can be, in the order in which the parts of a histogram are shown."""


class SeriesTable:
    """Interns series: the same metric and label values give the same small integer.

    Identifiers count upwards and are never given twice, also not when a series is forgotten.
    One table belongs to one run of the agent. One thread interns and forgets; others may look up.

    Attributes:
        forgotten: how many series were, so that whoever keeps identifiers knows that all are good.
    """

    def __init__(self) -> None:
        self._ids: dict[tuple[Metric, tuple[str, ...], str, str], int] = {}
        self._series: dict[int, Series] = {}
        self._given = 0
        self.forgotten = 0

    def intern(
        self, metric: Metric, labels: Sequence[str] = (), *, suffix: str = "", le: str = ""
    ) -> int:
        """Return the identifier of a series, making one on first sight.

        Raises:
            ValueError: the number of label values is not the number of the metric's labels.
        """
        key = (metric, tuple(labels), suffix, le)
        found = self._ids.get(key)
        if found is not None:
            return found
        if len(key[1]) != len(metric.labels):
            raise ValueError(f"{metric.name} takes the labels {metric.labels}, got {key[1]}")
        number = self._given
        self._given += 1
        self._series[number] = Series(metric, key[1], suffix, le)
        self._ids[key] = number
        return number

    def find(
        self, metric: Metric, labels: Sequence[str] = (), *, suffix: str = "", le: str = ""
    ) -> int | None:
        """Return the identifier of a series, or None if it was never interned."""
        return self._ids.get((metric, tuple(labels), suffix, le))

    def __getitem__(self, series_id: int) -> Series:
        """Return the series with this identifier.

        Raises:
            KeyError: there is none, or it was forgotten.
        """
        return self._series[series_id]

    def forget(self, ids: Iterable[int]) -> None:
        """Release what is known of series nobody names any more; seen again, each is a new one."""
        for series_id in ids:
            series = self._series.pop(series_id)
            del self._ids[series.metric, series.labels, series.suffix, series.le]
            self.forgotten += 1

    def unknown(self, ids: Iterable[int]) -> set[int]:
        """Return those of the identifiers that name nothing."""
        # Looks each up; to subtract the keys would walk through all there are.
        return set(ids).difference(self._series)

    def __contains__(self, series_id: int) -> bool:
        """Return whether there is a series with this identifier."""
        return series_id in self._series

    def __iter__(self) -> Iterator[int]:
        """Iterate over the identifiers, ascending."""
        return iter(self._series)

    def __len__(self) -> int:
        """Return how many series are known."""
        return len(self._series)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened once: an XID, the restart of an engine, a GPU that vanished.

    Attributes:
        time: Unix seconds.
        kind: a word that rules and reports can rely on, such as `xid` or `engine_restarted`.
        source: name of the source that saw it.
        labels: what it is about; label names as in the catalogue.
        message: one sentence for people.
    """

    time: float
    kind: str
    source: str
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    message: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at one source gave: parallel lists of series and values, and events.

    A source returns the *same* `ids` list while the set of its series stands, so that whoever
    prepared something for that list can keep it. Neither list is changed once returned.
    """

    ids: Sequence[int]
    values: Sequence[float]
    events: Sequence[Event] = ()


EMPTY_READING: Final = Reading((), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """What has to be known of a source to judge what it gives.

    Attributes:
        name: as in `inferwatch_source_up{source="…"}`.
        stale_after: seconds after which the last values are no longer true enough to show.
        precedence: where two sources give one series, that of the lower number is shown; of
            equals, the one made known first.
        up_id: a further series that says whether the source is up, such as the engine's own.
    """

    name: str
    stale_after: float
    precedence: int = 0
    up_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One finished look at one source.

    Attributes:
        source: name of the source.
        duration: seconds that it took.
        reading: what it gave, or None when it failed.
        error: why it failed, for people.
        unavailable: it failed because there is no such source on this host.
        facts: samples that its failure tells; empty for one that did not fail.
        age: seconds from its end to the tick that took it; 0 where it ended within that tick.
    """

    source: str
    duration: float
    reading: Reading | None = None
    error: str = ""
    unavailable: bool = False
    facts: Reading = EMPTY_READING
    age: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What a receiver of alerts is to be told now; the labels say which alert it is.

    Attributes:
        labels: identity, `alertname` included; none is empty.
        annotations: what people are told.
        starts_at: Unix seconds since when it fires.
        ends_at: when it was resolved; while it fires, when to take it for resolved unless it is
            sent again.
        resolved: it no longer fires.
        generator_url: where it can be looked into.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: float
    ends_at: float
    resolved: bool
    generator_url: str = ""

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of the labels, the same that Alertmanager gives them."""
        digest = 0xCBF29CE484222325  # FNV-1a, 64 bits
        for name, value in sorted(self.labels.items()):
            for byte in (*name.encode(), 255, *value.encode(), 255):
                digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
        return f"{digest:016x}"


@dataclass(frozen=True, slots=True)
class Frame:
    """All there is to say about one tick: its time, its samples, its events.

    Attributes:
        time: Unix seconds; the one timestamp of every sample in the frame.
        table: explains the identifiers in `ids`.
        ids: series identifiers, each at most once.
        values: as many numbers.
        events: what happened since the frame before.
        alerts: those of which the receivers are to be told at this tick.
        failures: why the last look failed, by name of each source that is broken now.
    """

    time: float
    table: SeriesTable
    ids: Sequence[int]
    values: Sequence[float]
    events: Sequence[Event] = ()
    alerts: Sequence[Alert] = ()
    failures: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Clock(Protocol):
    """Time as an argument: the agent reads clocks nowhere else."""

    def time(self) -> float:
        """Return Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once that much time has passed on this clock."""
        ...


class Collector(Protocol):
    """A source. It raises when it fails; it never logs, sleeps or times itself."""

    @property
    def name(self) -> str:
        """Name of the source, as in `inferwatch_source_up{source="…"}`."""
        ...

    async def collect(self) -> Reading:
        """Look once.

        Raises:
            UnavailableError: the source does not exist on this host.
            Exception: any other error means that it is broken.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything; safe to call twice."""
        ...


class Exporter(Protocol):
    """A destination for frames."""

    @property
    def name(self) -> str:
        """Name of the destination, as in the configuration."""
        ...

    async def publish(self, frame: Frame) -> None:
        """Take over the newest frame; must not wait for the outside world."""
        ...

    async def aclose(self) -> None:
        """Let go of everything; safe to call twice."""
        ...
