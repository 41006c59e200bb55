"""Which replicas and which time a report is about."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agent.catalog import engine
from agent.report.answers import Answer
from agent.report.grid import FIVE_MINUTES, MINUTE, Column, Grid


class Key(NamedTuple):
    """What tells a replica from others; values of labels."""

    engine: str
    instance_name: str
    model_name: str
    rank: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Which replicas are wanted; None for all.

    Attributes:
        instance_name: of this instance only.
        model_name: of this model only.
    """

    instance_name: str | None = None
    model_name: str | None = None

    def selector(self, name: str, *further: str) -> str:
        """Return the selector of a metric for these replicas."""
        chosen = {"instance_name": self.instance_name, "model_name": self.model_name}
        pairs = [f"{key}={quoted(value)}" for key, value in chosen.items() if value is not None]
        return f"{name}{{{','.join([*pairs, *further])}}}"


def quoted(text: str) -> str:
    """Return a string as PromQL writes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Span:
    """The grids of a report.

    Attributes:
        five: windows of five minutes, all of the time asked for.
        minutes: minutes of those windows of which every sample is kept; may be empty.
    """

    five: Grid
    minutes: Grid


def span(start: float, end: float, full_since: float | None) -> Span:
    """Return the grids of a time.

    Args:
        start: Unix seconds.
        end: Unix seconds.
        full_since: Unix seconds since when every sample is kept; None where that is never so.
    """
    first = round(start / FIVE_MINUTES)
    count = max(0, round(end / FIVE_MINUTES) - first)
    five = Grid(first * FIVE_MINUTES, FIVE_MINUTES, count)
    fine = five.cut(end if full_since is None else full_since, five.end)
    ratio = round(FIVE_MINUTES / MINUTE)
    return Span(five, Grid(fine.start, MINUTE, fine.count * ratio))


@dataclass(frozen=True, slots=True)
class Fine:
    """A value in windows of five minutes and, where every sample is kept, in minutes."""

    five: Column
    minute: Column


def by_replica(answers: Sequence[Answer]) -> Iterator[tuple[Key, Answer]]:
    """Yield answers with the replica that each is about."""
    for one in answers:
        yield Key(*(one.labels.get(name, "") for name in engine.LABELS)), one


def with_one_before(grid: Grid) -> Grid:
    """Return a grid that begins one cell earlier: a counter grows from there."""
    return Grid(grid.start - grid.step, grid.step, grid.count + 1)
