"""Write a recording; the format is in the package's docstring."""

import contextlib
import gzip
import itertools
import json
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from agent.model import (
    Event,
    Look,
    Metric,
    RecordingFailedError,
    Series,
    SeriesTable,
    SourceSpec,
)
from agent.recording.scrub import Scrubber

MAGIC = "inferwatch_recording"
VERSION = 1
FLUSH_SECONDS = 10.0

# Whole numbers up to here are written as such: a float holds each of them.
_EXACT = 2**53


class RecordingWriter:
    """Writes ticks to a file as they come.

    Args:
        path: the file; one that exists is replaced.
        table: explains the series of the looks.
        header: facts for the first line, such as the version of the agent or a note.
        scrubber: applied to everything written, if given.

    Whatever happens to the writing process, all but the last `FLUSH_SECONDS` can be read.

    Raises:
        RecordingFailedError: the file cannot be written; each method raises it.
    """

    def __init__(
        self,
        path: Path,
        table: SeriesTable,
        *,
        header: Mapping[str, Any],
        scrubber: Scrubber | None = None,
    ) -> None:
        self._path = path
        existed = path.exists()
        with self._told():
            self._file = gzip.open(path, "wt", encoding="utf-8", compresslevel=6)  # noqa: SIM115
        self._flushed_at = float("-inf")
        self._table = table
        self._scrubber = scrubber
        self._sources: dict[str, int] = {}
        self._specs: dict[str, SourceSpec] = {}
        self._numbers = itertools.count()
        self._metrics: dict[Metric, int] = {}
        self._series: dict[int, int] = {}
        self._layouts: dict[bytes, int] = {}
        self._last: dict[int, tuple[int, list[float]]] = {}
        try:
            self._line({MAGIC: VERSION, **header})
            with self._told():  # whether there is room at all shows here
                self._file.flush()
        except RecordingFailedError:
            self._give_up(remove=not existed)
            raise

    def write(
        self,
        time: float,
        looks: Sequence[Look],
        specs: Mapping[str, SourceSpec],
        gone: Sequence[str],
        *,
        now: float | None = None,
    ) -> None:
        """Write one tick.

        Args:
            time: Unix seconds.
            looks: finished at this tick.
            specs: the sources that there are now, by name.
            gone: names of sources that were forgotten since the tick before.
            now: seconds on a monotonic clock.
        """
        for name in gone:
            self._last.pop(self._sources.pop(name, -1), None)
        for name, spec in specs.items():
            if name not in self._sources or self._specs[name] != spec:
                self._declare_source(name, spec)
        encoded = [self._look(look) for look in looks if look.source in self._sources]
        clocks = {"t": time} if now is None else {"t": time, "m": now}
        self._line({**clocks, "looks": encoded, "gone": [self._name(name) for name in gone]})
        if abs(time - self._flushed_at) >= FLUSH_SECONDS:
            self._flushed_at = time
            self.flush()

    def declare(self, ids: Sequence[int]) -> None:
        """Write what series are, ahead of the looks that have them."""
        for series_id in ids:
            self._series_number(series_id)

    def flush(self) -> None:
        """Hand what was written to the system, so that others can read it."""
        with self._told():
            self._file.flush()

    def _declare_source(self, name: str, spec: SourceSpec) -> None:
        """Write what the pipeline has to know of a source."""
        self._last.pop(self._sources.get(name, -1), None)
        number = self._sources[name] = next(self._numbers)
        self._specs[name] = spec
        self._line(
            {
                "source": number,
                "name": self._name(name),
                "stale_after": spec.stale_after,
                "precedence": spec.precedence,
                "up": None if spec.up_id is None else self._series_number(spec.up_id),
            }
        )

    def _name(self, source: str) -> str:
        """Return the name of a source as it is written."""
        return source if self._scrubber is None else self._scrubber.source(source)

    def _look(self, look: Look) -> list[Any]:
        """Return a look as it is written."""
        source = self._sources[look.source]
        duration = look.duration
        age = [look.age] if look.age else []
        if look.reading is None:
            why = "" if self._scrubber else look.error
            failed = [source, duration, "unavailable" if look.unavailable else "error", why]
            if not look.facts.ids:
                return [*failed, *age]
            facts = [_to_json(float(value)) for value in look.facts.values]
            return [*failed, look.age, self._layout_number(look.facts.ids), facts]
        layout = self._layout_number(look.reading.ids)
        last, before = self._last.get(source, (layout, []))
        if last != layout:
            before = []
        values = [float(value) for value in look.reading.values]
        changed = {
            str(position): _to_json(value)
            for position, value in enumerate(values)
            if position >= len(before) or before[position] != value
        }
        self._last[source] = (layout, values)
        events = [self._event(event) for event in look.reading.events]
        return [source, duration, layout, changed, events, *age]

    def _event(self, event: Event) -> list[Any]:
        """Return an event as it is written."""
        if self._scrubber:
            event = self._scrubber.event(event)
        return [event.time, event.kind, event.source, dict(event.labels), event.message]

    def _layout_number(self, ids: Sequence[int]) -> int:
        """Return the number of a list of series, written on first sight."""
        # Lists of thousands of series, which on a busy host differ every few seconds.
        key = blake2b(array("q", ids).tobytes(), digest_size=16).digest()
        number = self._layouts.get(key)
        if number is None:
            series = [self._series_number(series_id) for series_id in ids]
            number = self._layouts[key] = len(self._layouts)
            self._line({"layout": number, "series": series})
        return number

    def _series_number(self, series_id: int) -> int:
        """Return the number of a series, written on first sight."""
        number = self._series.get(series_id)
        if number is None:
            series = self._table[series_id]
            metric = self._metrics.get(series.metric)
            if metric is None:
                metric = self._metrics[series.metric] = len(self._metrics)
                labels = list(series.metric.labels)
                self._line({"metric": metric, "name": series.metric.name, "labels": labels})
            number = self._series[series_id] = len(self._series)
            self._line(
                {
                    "series": number,
                    "metric": metric,
                    "values": self._labels(series),
                    "suffix": series.suffix,
                    "le": series.le,
                }
            )
        return number

    def _labels(self, series: Series) -> list[str]:
        """Return the label values as they are written."""
        if self._scrubber is None:
            return list(series.labels)
        pairs = zip(series.metric.labels, series.labels, strict=True)
        return [self._scrubber.label(name, value) for name, value in pairs]

    def _line(self, content: Mapping[str, Any]) -> None:
        with self._told():
            self._file.write(json.dumps(content, separators=(",", ":")) + "\n")

    def _give_up(self, *, remove: bool) -> None:
        """Let go of a file that cannot be written; one that was made for it is removed."""
        with contextlib.suppress(RecordingFailedError):
            self.close()
        if remove:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def close(self) -> None:
        """Finish the file; safe to call twice."""
        with self._told():
            self._file.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say for people what the system refuses, such as a full disk."""
        try:
            yield
        except OSError as error:
            raise RecordingFailedError(
                f"{self._path}: cannot be written: {error.strerror or error}"
            ) from error


def _to_json(value: float) -> float | str:
    """Return a number that JSON has, or the name of one that it lacks."""
    if math.isfinite(value):
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
