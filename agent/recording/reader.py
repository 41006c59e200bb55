"""Read a recording; the format is in the package's docstring."""

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.catalog import METRICS
from agent.model import (
    EMPTY_READING,
    SUFFIXES,
    Event,
    Look,
    Metric,
    Reading,
    RecordingError,
    SeriesTable,
    SourceSpec,
)
from agent.recording.writer import MAGIC, VERSION

# Parts of a look that each one has; its age may follow.
_FAILED = 4
_SUCCEEDED = 5
# Parts of a failed look that tells something all the same.
_TELLING = 7


@dataclass(frozen=True, slots=True)
class RecordedTick:
    """One tick of a recording.

    Attributes:
        time: Unix seconds.
        looks: as they were finished.
        appeared: sources that are new at this tick.
        gone: names of sources that were forgotten before it.
        now: seconds on the recorder's monotonic clock, if they were recorded.
    """

    time: float
    looks: Sequence[Look]
    appeared: Sequence[SourceSpec] = ()
    gone: Sequence[str] = ()
    now: float | None = None

    @property
    def monotonic(self) -> float:
        """Seconds by which to tell how far ticks are apart."""
        return self.time if self.now is None else self.now

    def shifted(self, seconds: float) -> "RecordedTick":
        """Return the same tick, later; its events move with it."""
        if not seconds:
            return self
        looks = [_shifted(look, seconds) for look in self.looks]
        now = None if self.now is None else self.now + seconds
        return replace(self, time=self.time + seconds, looks=looks, now=now)


def _shifted(look: Look, seconds: float) -> Look:
    """Return the same look, its events later."""
    if look.reading is None or not look.reading.events:
        return look
    events = [replace(event, time=event.time + seconds) for event in look.reading.events]
    return replace(look, reading=replace(look.reading, events=events))


@dataclass(slots=True)
class _Layout:
    """A list of series of the recording, by their identifiers in this run."""

    ids: list[int]
    kept: list[int]  # positions whose metric this agent knows
    size: int  # positions in the recording


@dataclass(slots=True)
class RecordingReader:
    """Reads a recording into a run of the agent.

    Attributes:
        header: the first line.
        unknown: names of metrics that this agent does not have; their samples are left out.
    """

    path: Path
    table: SeriesTable
    header: dict[str, Any] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    _specs: dict[int, SourceSpec] = field(default_factory=dict)
    _metrics: dict[int, tuple[Metric | None, list[str]]] = field(default_factory=dict)
    _series: dict[int, int | None] = field(default_factory=dict)
    _layouts: dict[int, _Layout] = field(default_factory=dict)
    _last: dict[int, tuple[int, list[float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the first line.

        Raises:
            RecordingError: this is no recording, or one of a version that is not known.
        """
        for _number, content in self._lines():
            self.header = content
            break
        version = self.header.get(MAGIC)
        if version is None:
            raise RecordingError(f"{self.path}: is not a recording of inferwatch")
        if version != VERSION:
            raise RecordingError(
                f"{self.path}: is a recording of version {version}, expected {VERSION}: "
                "use the agent that made it"
            )

    def ticks(self) -> Iterator[RecordedTick]:
        """Yield the ticks in order.

        Raises:
            RecordingError: the file is damaged; what came before has been yielded.
        """
        appeared: list[SourceSpec] = []
        for number, content in self._lines():
            try:
                if "t" in content:
                    looks = [self._look(entry) for entry in content["looks"]]
                    gone = [str(name) for name in content["gone"]]
                    now = float(content["m"]) if "m" in content else None
                    tick = RecordedTick(float(content["t"]), looks, appeared, gone, now)
                    appeared = []
                    yield tick
                elif "source" in content:
                    appeared.append(self._source(content))
                else:
                    self._declare(content)
            except (LookupError, ArithmeticError, TypeError, ValueError, AttributeError) as error:
                raise RecordingError(
                    f"{self.path}:{number}: this line makes no sense: {error!r}"
                ) from error

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield line numbers and what the lines hold."""
        number = 0
        try:
            with gzip.open(self.path, "rt", encoding="utf-8") as file:
                for number, line in enumerate(file, start=1):
                    content = json.loads(line)
                    if not isinstance(content, dict):
                        raise RecordingError(f"{self.path}:{number}: is not an object")
                    yield number, content
        except gzip.BadGzipFile as error:
            problem = f"is damaged after line {number}" if number else "is not a recording"
            raise RecordingError(f"{self.path}: {problem}: {error}") from error
        except OSError as error:
            raise RecordingError(f"{self.path}: cannot be read: {error.strerror}") from error
        except (EOFError, ValueError, RecursionError, zlib.error) as error:
            raise RecordingError(f"{self.path}: is damaged after line {number}: {error}") from error

    def _source(self, content: Mapping[str, Any]) -> SourceSpec:
        """Take note of a source."""
        up = content["up"]
        spec = SourceSpec(
            name=content["name"],
            stale_after=float(content["stale_after"]),
            precedence=int(content["precedence"]),
            up_id=None if up is None else self._series[up],
        )
        self._specs[content["source"]] = spec
        return spec

    def _declare(self, content: Mapping[str, Any]) -> None:
        """Take note of a metric, a series or a layout."""
        if "layout" in content:
            numbers = content["series"]
            known = [(at, self._series[number]) for at, number in enumerate(numbers)]
            kept = [(at, series_id) for at, series_id in known if series_id is not None]
            self._layouts[content["layout"]] = _Layout(
                ids=[series_id for _at, series_id in kept],
                kept=[at for at, _series_id in kept],
                size=len(numbers),
            )
        elif "series" in content:
            self._series[content["series"]] = self._intern(content)
        elif "metric" in content:
            metric = METRICS.get(content["name"])
            if metric is None:
                self.unknown.add(content["name"])
            self._metrics[content["metric"]] = (metric, content["labels"])
        elif MAGIC not in content:
            raise ValueError("neither a tick nor a declaration")

    def _intern(self, content: Mapping[str, Any]) -> int | None:
        """Return a series of the recording as one of this run; labels are matched by name."""
        metric, names = self._metrics[content["metric"]]
        if metric is None:
            return None
        given = dict(zip(names, content["values"], strict=True))
        labels = [str(given.get(name, "")) for name in metric.labels]
        suffix, le = content["suffix"], content["le"]
        if suffix not in SUFFIXES or (le and math.isnan(float(le))):
            raise ValueError(f"no part of a histogram: {suffix!r}, {le!r}")
        return self.table.intern(metric, labels, suffix=suffix, le=le)

    def _look(self, entry: Sequence[Any]) -> Look:
        """Return a look as the runtime would have made it."""
        source, duration, what = entry[0], float(entry[1]), entry[2]
        name = self._specs[source].name
        if isinstance(what, str):
            return Look(
                source=name,
                duration=duration,
                error=str(entry[3]),
                unavailable=what == "unavailable",
                facts=self._facts(*entry[5:]) if len(entry) == _TELLING else EMPTY_READING,
                age=float(entry[4]) if len(entry) > _FAILED else 0.0,
            )
        layout = self._layouts[what]
        last, values = self._last.get(source, (None, []))
        if last != what:
            values = [math.nan] * layout.size
        for position, value in entry[3].items():
            values[int(position)] = float(value)
        self._last[source] = (what, values)
        events = [_event(*event) for event in entry[4]]
        reading = Reading(layout.ids, [values[at] for at in layout.kept], events)
        age = float(entry[5]) if len(entry) > _SUCCEEDED else 0.0
        return Look(source=name, duration=duration, reading=reading, age=age)

    def _facts(self, number: int, values: Sequence[Any]) -> Reading:
        """Return what a failure told."""
        layout = self._layouts[number]
        return Reading(layout.ids, [float(values[at]) for at in layout.kept])


def _event(time: float, kind: str, source: str, labels: Mapping[str, str], message: str) -> Event:
    """Return an event of the recording."""
    pairs = {str(name): str(value) for name, value in labels.items()}
    return Event(float(time), str(kind), str(source), pairs, str(message))
