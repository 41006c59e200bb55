"""What the history costs: a host's series at 1 Hz, for hours, against Prometheus's own TSDB.

The numbers are those of a real vLLM near its capacity, recorded (`tests/recordings`): columns of
its full-resolution series, each copy begun at another moment of the recording, and a quarter of
the series without two equal neighbours, such as power and temperature of a GPU. Ticks are some
milliseconds off the second, as they are on a busy host.
"""

import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.app.conclusions import new_pipeline
from agent.model import EMPTY_READING, Frame, History, Metric, MetricType, SeriesTable
from agent.recording import RecordingReader
from agent.replay import play
from agent.store.history import History as Store
from agent.store.openmetrics import export
from agent.store.reader import HistoryReader
from agent.store.series import Matcher, MatchOp
from agent.store.target import Target

SERIES: Final = 2000
_READ: Final = 400
_TEN: Final = 10
_MILLISECONDS: Final = re.compile(r"\.\d{3}\n")
_RECORDING: Final = Path(__file__).parents[1] / "tests" / "recordings" / "vllm-capacity.rec.gz"
_START: Final = 1_800_000_000.0
_NOISY: Final = 4  # every how manieth series is a sensor


class _Clock:
    """Not asked, unless a file is damaged."""

    def time(self) -> float:
        """Return Unix seconds."""
        return _START

    def monotonic(self) -> float:
        """Return seconds."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Never called."""


@dataclass(frozen=True, slots=True)
class HistoryCosts:
    """What was measured.

    Attributes:
        cpu: milliseconds of CPU for each second of history: append, compress and write.
        append: milliseconds of it that the event loop sees, on average.
        slowest: the longest append in milliseconds.
        latest: microseconds to find the newest samples of ten series.
        minute: microseconds to find the last minute of ten series.
        size: bytes for each sample at full resolution, five-minute windows included.
        read: milliseconds of CPU to read ten series of one metric over 24 h.
        read_apart: the same for series of ten metrics.
        prometheus: bytes for each sample of Prometheus's TSDB on the same; None without promtool.
    """

    cpu: float
    append: float
    slowest: float
    latest: float
    minute: float
    size: float
    read: float
    read_apart: float
    prometheus: float | None


def _recorded() -> list[list[float]]:
    """Return the columns of the recorded series that are kept in full."""
    table = SeriesTable()
    pipeline = new_pipeline(table)
    columns: dict[int, list[float]] = {}
    frames = 0
    for tick in RecordingReader(_RECORDING, table).ticks():
        frame = play(pipeline, tick, EMPTY_READING)
        frames += 1
        for series_id, value in zip(frame.ids, frame.values, strict=True):
            if table[series_id].metric.history is History.FULL:
                columns.setdefault(series_id, []).append(float(value))
    return [column for column in columns.values() if len(column) == frames]


class _Load:
    """Rows of made-up series with recorded numbers."""

    def __init__(self, series: int) -> None:
        metrics_used = series // _TEN
        self._random = random.Random(1)
        self.table = SeriesTable()
        metrics = [
            Metric(
                name=f"inferwatch_load_{number}",
                type=MetricType.GAUGE,
                help="A number.",
                labels=("engine",),
            )
            for number in range(metrics_used)
        ]
        self.ids = [
            self.table.intern(metrics[number % metrics_used], (f"engine-{number // metrics_used}",))
            for number in range(series)
        ]
        recorded = _recorded()
        self._columns = [
            self._sensor()
            if number % _NOISY == 0
            else _turned(recorded[number % len(recorded)], self._random.randrange(len(recorded[0])))
            for number in range(series)
        ]

    def _sensor(self) -> list[float]:
        """Return what a power meter says for ten minutes, in milliwatts."""
        return [round(self._random.gauss(500, 30), 3) for _second in range(600)]

    def frames(self, start: int, seconds: int) -> Iterator[Frame]:
        """Yield the frames of some seconds."""
        rows = zip(*(_forever(column, start, seconds) for column in self._columns), strict=True)
        for second, row in enumerate(rows, start):
            jitter = self._random.random() * 0.005
            yield Frame(_START + second + jitter, self.table, self.ids, list(row))


def _turned(column: list[float], by: int) -> list[float]:
    """Return a column begun later."""
    return column[by:] + column[:by]


def _forever(column: list[float], start: int, seconds: int) -> list[float]:
    """Return some seconds of a column that is repeated."""
    size = len(column)
    return [column[(start + second) % size] for second in range(seconds)]


def _named(number: int) -> Matcher:
    """Return the condition that a metric of the load has this number."""
    return Matcher("__name__", MatchOp.EQUAL, f"inferwatch_load_{number}")


def measure() -> HistoryCosts:
    """Write history as fast as it goes, then read it."""
    with tempfile.TemporaryDirectory(prefix="inferwatch-history-") as name:
        folder = Path(name)
        written = _write(folder / "written", _Load(SERIES), 2 * 3600)
        read = _read(folder / "read")
        prometheus = _prometheus(folder, _START + 2 * 3600)
    return HistoryCosts(*written, *read, prometheus)


def _write(folder: Path, load: "_Load", seconds: int) -> tuple[float, ...]:
    """Write some seconds of load; return the first six figures."""
    folder.mkdir()
    store = Store(load.table, clock=_Clock(), path=folder / "history.db")
    cpu = on_loop = slowest = 0.0
    for part in range(0, seconds, 300):
        frames = list(load.frames(part, min(300, seconds - part)))
        begun = time.process_time()
        for frame in frames:
            at = time.thread_time()
            store.append(frame)
            took = time.thread_time() - at
            on_loop += took
            slowest = max(slowest, took)
        # In life the writer has a second for each nudge.
        store.drain(60.0)
        cpu += time.process_time() - begun
    end = _START + seconds
    latest = _timed(lambda: store.latest((_named(1),), end - 300, end), 200)
    minute = _timed(lambda: store.select((_named(1),), end - 60, end), 200)
    begun = time.process_time()
    store.close(60.0)
    cpu += time.process_time() - begun
    size = sum(file.stat().st_size for file in folder.iterdir())
    return (
        cpu / seconds * 1e3,
        on_loop / seconds * 1e3,
        slowest * 1e3,
        latest * 1e6,
        minute * 1e6,
        size / (seconds * (len(load.ids) + 1)),
    )


def _read(folder: Path) -> tuple[float, float]:
    """Return the milliseconds to read a day of ten series: of one metric, and of ten."""
    _write(folder, _Load(_READ), 86400)
    reader = HistoryReader(folder / "history.db", Target())
    end = _START + 86400
    together = _timed(lambda: reader.select((_named(1),), _START, end), 5)
    apart = _timed(lambda: _apart(reader, _START, end), 5)
    reader.close()
    return together * 1e3, apart * 1e3


def _apart(reader: HistoryReader, start: float, end: float) -> int:
    """Read one series of each of ten metrics; return how many samples they have."""
    one = Matcher("engine", MatchOp.EQUAL, "engine-3")
    found = [reader.select((_named(4 * number), one), start, end) for number in range(10)]
    return sum(len(series.times) for few in found for series in few)


def _timed(work: object, times: int) -> float:
    """Return the seconds of CPU that something takes, the median of several times."""
    assert callable(work)
    taken: list[float] = []
    for _time in range(times):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return sorted(taken)[times // 2]


def _prometheus(folder: Path, end: float) -> float | None:
    """Return the bytes of a sample in Prometheus's TSDB, on the same numbers.

    At whole seconds: Prometheus aligns what it scrapes a little late, and so it stores times for
    next to nothing.
    """
    if shutil.which("promtool") is None:
        return None
    text = folder / "load.om"
    samples = 0
    reader = HistoryReader(folder / "written" / "history.db", Target())
    with text.open("w") as file:
        for piece in export(reader, [], _START - 1, end):
            samples += piece.count("\n") - piece.count("# ")
            file.write(_MILLISECONDS.sub(".000\n", piece))
    reader.close()
    blocks = folder / "blocks"
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks)],
        check=True,
        capture_output=True,
    )
    return sum(file.stat().st_size for file in blocks.rglob("*") if file.is_file()) / samples


def keys(costs: HistoryCosts) -> dict[str, float]:
    """Return the figures under the names that `build/bench.json` has."""
    found = {
        "history_cpu_ms_per_s": costs.cpu,
        "history_append_ms_per_s": costs.append,
        "history_append_ms_max": costs.slowest,
        "history_bytes_per_sample": costs.size,
        "history_read_24h_ms": costs.read,
        "history_read_24h_ten_metrics_ms": costs.read_apart,
        "history_latest_us": costs.latest,
        "history_last_minute_us": costs.minute,
    }
    if costs.prometheus is not None:
        found["history_bytes_per_sample_prometheus"] = costs.prometheus
        found["history_bytes_ratio_to_prometheus"] = costs.size / costs.prometheus
    return {name: round(value, 4) for name, value in found.items()}


if __name__ == "__main__":
    for key, value in keys(measure()).items():
        print(f"{key:40} {value:.4f}")
