"""Series that come and go are forgotten, and nothing that anybody may still name."""

from pathlib import Path

from agent.alerts.recorded import RecordedSeries
from agent.catalog import METRICS, gpu
from agent.model import EMPTY_READING, Frame, Look, Reading, SeriesTable, SourceSpec
from agent.pipeline import Pipeline
from agent.store.forgetting import AFTER, EVERY, PASSING, Forgetting
from agent.store.history import HOT_SPAN, History
from tests.fakes.clock import ManualClock

START = 1_800_000_000.0
PROCESS = METRICS["inferwatch_gpu_process_memory_used_bytes"]
DEVICE = gpu.POWER


class Host:
    """A pipeline, its history and what forgets, as the agent has them."""

    def __init__(self) -> None:
        self.table = SeriesTable()
        self.pipeline = Pipeline(self.table)
        self.pipeline.add_source(SourceSpec(name="a", stale_after=10.0))
        self.history = History(self.table, clock=ManualClock())
        self.forgetting = Forgetting(
            self.table, in_use=lambda: (self.history.series(), self.pipeline.series())
        )
        self.now = 0.0

    def process(self, number: int) -> int:
        """Return the series of a process."""
        return self.table.intern(PROCESS, ("0", "GPU-0", "", str(number), "python"))

    def tick(self, *ids: int, seconds: float = 10.0) -> Frame:
        """Let time pass and have a source give these series."""
        self.now += seconds
        look = Look(source="a", duration=0.0, reading=Reading(ids, [1.0] * len(ids)))
        frame = self.pipeline.conclude(START + self.now, [look], EMPTY_READING, now=self.now)
        self.history.append(frame)
        self.forgetting.tick(self.now)
        return frame

    def idle(self, seconds: float) -> None:
        """Let time pass in ticks without such series."""
        for _tick in range(int(seconds / 10.0)):
            self.tick()


def test_a_process_that_ended_is_forgotten():
    """A series is known for 15 minutes after its last frame, and half an hour later no more."""
    host = Host()
    gone = host.process(1)
    host.tick(gone)
    host.idle(900.0)
    assert gone in host.table
    host.idle(900.0)
    assert gone not in host.table
    again = host.process(1)
    assert again > gone
    assert again in host.tick(again).ids


def test_a_process_that_returns_in_time_is_the_same():
    """A gap of less than 15 minutes makes no new series, however often there is one."""
    host = Host()
    first = host.process(1)
    for _round in range(5):
        host.tick(first)
        host.idle(890.0)
        assert host.process(1) == first


def test_what_the_host_has_is_kept_for_good():
    """A series without passing labels is known for ever: its source may keep the identifier."""
    host = Host()
    power = host.table.intern(DEVICE, ("0", "GPU-0", ""))
    host.tick(power)
    host.idle(86_400.0)
    assert host.table.find(DEVICE, ("0", "GPU-0", "")) == power
    assert power in host.tick(power).ids


def test_what_a_source_gave_last_is_kept_while_it_fails():
    """A source that is down for hours may go on with the list of series that it had."""
    host = Host()
    kept = host.process(1)
    host.tick(kept)
    for _tick in range(1000):
        host.now += 10.0
        failed = Look(source="a", duration=0.0, error="hangs")
        frame = host.pipeline.conclude(START + host.now, [failed], EMPTY_READING, now=host.now)
        host.history.append(frame)
        host.forgetting.tick(host.now)
    assert kept in host.tick(kept).ids


def test_what_waits_for_a_disk_is_kept(tmp_path: Path):
    """Segments that could not be written yet are written with the labels that they had."""
    host = Host()
    (tmp_path / "file").write_text("no folder")
    host.history = History(host.table, clock=ManualClock(), path=tmp_path / "file" / "history.db")
    waiting = host.process(1)
    host.tick(waiting)
    for _minute in range(35):
        host.tick(seconds=60.0)
        named = host.history.series()
        assert waiting in host.table or waiting not in named
        assert all(series_id in host.table for series_id in named)
    host.history.close()


def test_what_rules_write_is_forgotten_and_written_again():
    """Series of rules come and go with their labels; one that is back has an identifier again."""
    host = Host()
    recorded = RecordedSeries(host.table)
    labels = (("__name__", "ALERTS"), ("alertname", "A"), ("value", "1"))
    first = recorded.intern(labels)
    lasting = recorded.intern((("__name__", "a:b"),))
    host.history.record(START, [first, lasting], [1.0, 1.0])
    for _minute in range(60):
        host.history.record(START + host.now, [lasting], [1.0])
        host.tick(seconds=60.0)
    assert first not in host.table
    assert lasting in host.table
    again = recorded.intern(labels)
    assert host.table[again].labels == ("A", "1")


def test_a_frame_between_two_looks_is_not_overlooked():
    """The history names a series for longer than it takes to the next look."""
    assert EVERY < HOT_SPAN
    assert HOT_SPAN + AFTER >= 900.0


def test_passing_labels_are_labels_of_metrics():
    """Each is a label of the catalogue, written as there."""
    assert {name for metric in METRICS.values() for name in metric.labels} >= PASSING


def test_half_a_million_processes_do_not_grow_the_agent():
    """What ran for a minute each, half a million times, leaves less than 9 bytes of each behind."""
    host = Host()
    sizes: list[tuple[int, int]] = []
    for minute in range(500):
        ids = [host.process(minute * 1000 + number) for number in range(1000)]
        host.tick(*ids, seconds=60.0)
        sizes.append((len(host.table), _resident()))
    assert max(len_ for len_, _ in sizes) <= 31_000
    # From the hundredth minute on as many are forgotten as come.
    early, late = max(rss for _, rss in sizes[:100]), max(rss for _, rss in sizes)
    assert late - early < 9 * 400_000


def _resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
