"""A small history, and queries over it in a process of their own."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.app.queries import Queries
from agent.config.queries import Queries as Limits
from agent.model import SeriesTable
from agent.queries.asked import Asked, Kind
from agent.store.history import History
from agent.store.target import Target
from tests.fakes.clock import ManualClock
from tests.fakes.history import FULL, frame, series

START = 1_800_000_000.0
TARGET = Target(job="j", instance="i")
REAL = (sys.executable, "-I", "-m", "agent.queries.child")
SLOW = "sum_over_time(vector(time())[11d:1s])"
"""Takes far longer than any test waits."""


def always() -> bool:
    """Return that somebody waits for the answer."""
    return True


def instant(query: str) -> Asked:
    """Return an instant query."""
    return Asked(kind=Kind.INSTANT, query=query, start=START + 9)


class World:
    """Queries over ten seconds of three series."""

    def __init__(self, path: Path | None = None, **limits: Any) -> None:
        table = SeriesTable()
        self.clock = ManualClock(time=START + 9)
        self.history = History(table, clock=self.clock, target=TARGET, path=path)
        for tick in range(10):
            values = {series(table, FULL, str(name)): float(tick) for name in range(3)}
            self.history.append(frame(table, START + tick, values))
        self.program: Sequence[str] = REAL
        self.limits = replace(Limits(timeout=20.0), **limits)
        self.wall = ManualClock(time=START + 9)
        self.path = path
        self.made: list[Queries] = []

    def queries(self) -> Queries:
        """Return what answers."""
        made = Queries(
            self.limits,
            lend=self.history.lend,
            path=self.path,
            target=TARGET,
            clock=self.clock,
            wall=self.wall,
            program=self.program,
        )
        self.made.append(made)
        return made


async def result(
    asking: Queries, query: str, *, listens: Callable[[], bool] = always, **further: Any
) -> Any:
    """Return the result of an instant query."""
    body = await asking.answer(instant(query), listens=listens, **further)
    try:
        answer = json.loads(body.file.read())
        assert answer["status"] == "success"
        return answer["data"]["result"]
    finally:
        body.close()


def child_of(asking: Queries) -> int:
    """Return the number of the process."""
    assert asking._running is not None
    return asking._running.process.pid


def gone(pid: int) -> bool:
    """Return whether there is no such process."""
    return not Path(f"/proc/{pid}").exists()
