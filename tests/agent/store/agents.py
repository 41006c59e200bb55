"""A history at work, and what its file has."""

from contextlib import closing
from pathlib import Path

from agent.model import SeriesTable
from agent.store.history import History
from agent.store.reader import HistoryReader
from agent.store.target import Target
from tests.fakes.clock import ManualClock
from tests.fakes.history import FULL, frame, named, series

START = 1_800_000_000.0


class Agent:
    """A history, and what it told."""

    def __init__(self, path: Path, **options: object) -> None:
        self.told: list[str] = []
        self.table = SeriesTable()
        self.history = History(
            self.table,
            clock=ManualClock(),
            path=path,
            told=self.told.append,
            **options,  # type: ignore[arg-type]
        )

    def run(self, start: float, seconds: int, *, count: int = 3, step: int = 10) -> None:
        """Append ticks; the disk has its time at each window's end."""
        ids = [series(self.table, FULL, str(name)) for name in range(count)]
        for second in range(0, seconds, step):
            values = dict.fromkeys(ids, start + second)
            self.history.append(frame(self.table, start + second, values))
            if (start + second) % 300 < step:
                assert self.history.drain(20.0)
        assert self.history.drain(20.0)

    def close(self) -> None:
        """Close the history."""
        assert self.history.close()


def kept_of(path: Path) -> list[float]:
    """Return the times that a file has of one series."""
    with closing(HistoryReader(path, Target())) as reader:
        found = reader.select(named(FULL), 0, 2e9)
    return list(found[0].times) if found else []


def other_files(path: Path) -> list[str]:
    """Return what stands beside a history, its journal left out."""
    beside = ("-wal", "-shm", ".lock")
    return sorted(file.name for file in path.parent.iterdir() if not file.name.endswith(beside))
