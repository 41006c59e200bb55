"""Recordings of a few ticks, and what can be read of a file."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.model import (
    Look,
    Reading,
    RecordingError,
    SeriesTable,
    SourceSpec,
)
from agent.recording import RecordedTick, RecordingReader, RecordingWriter, Scrubber
from tests.fakes.looks import GAUGES, Tick

METRIC = GAUGES[0]

A = SourceSpec(name="a", stale_after=10.0)


@contextmanager
def new_folder() -> Iterator[Path]:
    """Give a folder for one example."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def write(
    path: Path, table: SeriesTable, ticks: Sequence[Tick], scrubber: Scrubber | None = None
) -> None:
    """Write a recording."""
    writer = RecordingWriter(path, table, header={"note": "test"}, scrubber=scrubber)
    for tick in ticks:
        writer.write(tick.time, tick.looks, tick.specs, tick.gone, now=tick.now)
    writer.close()


def series_of(table: SeriesTable, name: str) -> int:
    """Return a series of one label value."""
    return table.intern(METRIC, (name, *[""] * (len(METRIC.labels) - 1)))


def tick_of(table: SeriesTable, time: float, **values: float) -> Tick:
    """Return a tick of the one source."""
    ids = [series_of(table, name) for name in values]
    look = Look(source="a", duration=0.1, reading=Reading(ids, list(values.values())))
    return Tick(time, [look], {"a": A}, [])


def ten_ticks(path: Path) -> SeriesTable:
    """Write ten ticks to a file."""
    table = SeriesTable()
    write(path, table, [tick_of(table, 100.0 + number, x=number) for number in range(10)])
    return table


def times_of(path: Path) -> list[float]:
    """Return the times of the ticks that can be read."""
    times: list[float] = []
    with pytest.raises(RecordingError):
        times.extend(tick.time for tick in each(RecordingReader(path, SeriesTable()), times))
    return times


def each(reader: RecordingReader, times: list[float]) -> Iterator[RecordedTick]:
    """Note the time of each tick as it comes, so that an error loses none."""
    for tick in reader.ticks():
        times.append(tick.time)
        yield from ()
