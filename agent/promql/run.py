"""One evaluation: its grid of times, the samples it was given, and the shapes that nodes have.

A query is compiled once into nested functions. They keep no state; what belongs to one
evaluation is in the `Run` that is handed down. All times are integer milliseconds, in which
Prometheus compares; samples carry Unix seconds.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from agent.promql.budget import Budget
from agent.promql.errors import EvaluationError
from agent.promql.labels import without_name
from agent.promql.notes import Notes
from agent.promql.reads import Reads
from agent.promql.values import Vector
from agent.store.recent import Columns
from agent.store.series import Labels, Matcher, after
from agent.store.shape import Shape, once


@dataclass(frozen=True, slots=True)
class Options:
    """How a query is evaluated; the defaults are Prometheus's.

    Attributes:
        lookback: seconds for which a sample stands for its series.
        subquery_step: seconds between the steps of a subquery that names none.
        delayed_names: metric names are dropped at the end of the evaluation only (Prometheus's
            feature flag `promql-delayed-name-removal`, off by default there too).
        max_samples: how many samples a query may take in hand, see `Budget`; Prometheus's limit
            counts those that are in memory at one time.
    """

    lookback: float = 300.0
    subquery_step: float = 60.0
    delayed_names: bool = False
    max_samples: int = 50_000_000


class Row(NamedTuple):
    """The samples of one series; `flagged` says that its name is to be dropped at the end."""

    labels: Labels
    times: Sequence[float]
    values: Sequence[float]
    flagged: bool


class Data(Protocol):
    """The samples of the selectors of a query, by their index."""

    def __getitem__(self, index: int) -> list[Row]:
        """Return every series with all samples that the grid needs."""
        ...

    def newest(self, index: int) -> Vector | None:
        """Return what an instant selector gives at the only time; None if it has to be looked for.

        The shorter way where there is one; it has the same answer.
        """
        ...

    def columns(self, index: int, start: int, end: int) -> tuple[Columns, ...] | None:
        """Return the samples of a range selector in (start, end]; likewise."""
        ...


@dataclass(slots=True)
class Run:
    """What one evaluation knows.

    Attributes:
        start: first time of the grid.
        end: last time of the grid.
        step: between two times of the grid.
        first: start of the whole query, `@ start()`.
        last: end of the whole query, `@ end()`.
        options: see there.
        data: the samples.
        budget: how many samples may still be taken.
        notes: where warnings go, None where nobody asks for them.
        reads: where it is noted what was looked at, likewise.
        subqueries: what subqueries gave on this grid, by their index.
    """

    start: int
    end: int
    step: int
    first: int
    last: int
    options: Options
    data: Data
    budget: Budget
    notes: Notes | None = None
    reads: Reads | None = None
    subqueries: dict[int, list[Row]] = field(default_factory=dict)

    def child(self, start: int, end: int, step: int) -> "Run":
        """Return the evaluation of a subquery on a grid of its own."""
        return Run(
            start,
            end,
            step,
            self.first,
            self.last,
            self.options,
            self.data,
            self.budget,
            self.notes,
            self.reads,
        )

    @property
    def steady(self) -> bool:
        """Whether somebody asks if the result stands, and nothing so far says that it does not."""
        return self.reads is not None and self.reads.steady

    def moving(self) -> None:
        """Take note that the result may be another at the next tick, whatever the samples."""
        if self.reads is not None:
            self.reads.steady = False

    def times(self) -> range:
        """Return the grid."""
        return range(self.start, self.end + 1, self.step)


@dataclass(frozen=True, slots=True)
class ScalarExpr:
    """Evaluates to a number at a time."""

    at: Callable[[Run, int], float]


@dataclass(frozen=True, slots=True)
class StringExpr:
    """A string literal."""

    text: str


@dataclass(frozen=True, slots=True)
class VectorExpr:
    """Evaluates to a vector at a time.

    Attributes:
        at: the vector.
        matchers: of a plain selector, for what `absent` gives; else empty.
        stamped: of a plain selector, the vector whose values are the times of its samples.
    """

    at: Callable[[Run, int], Vector]
    matchers: Sequence[Matcher] = ()
    stamped: Callable[[Run, int], Vector] | None = None


class Window(NamedTuple):
    """What a function over a range is told beside the samples; milliseconds."""

    time: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RangeExpr:
    """Evaluates to the samples of a trailing range.

    Attributes:
        rows: every series with all samples that the grid needs.
        window: the left-open range that belongs to a time.
        matchers: of a plain selector; else empty.
        columns: of a plain selector, its samples in a window all at once, see `Data.columns`.
    """

    rows: Callable[[Run], Sequence[Row]]
    window: Callable[[Run, int], Window]
    matchers: Sequence[Matcher] = ()
    columns: Callable[[Run, Window], tuple[Columns, ...] | None] = lambda _run, _window: None


Expr: TypeAlias = ScalarExpr | StringExpr | VectorExpr | RangeExpr


def windows(
    rows: Sequence[Row], window: Window
) -> Iterator[tuple[Row, Sequence[float], Sequence[float]]]:
    """Give the times and values within the range of every series that has any."""
    begin, end = after(window.start), after(window.end)
    for row in rows:
        times = row.times
        low = bisect_left(times, begin)
        high = bisect_left(times, end, low)
        if high - low == len(times):
            if times:
                yield row, times, row.values
        elif low < high:
            yield row, times[low:high], row.values[low:high]


def distinct(vector: Vector) -> Vector:
    """Return the vector, or raise where two of its series have the same labels."""
    once(vector.labels, _checked, _checked)
    return vector


def _checked(labels: Sequence[Labels]) -> None:
    """Raise where two label sets are the same."""
    if len(set(labels)) != len(labels):
        raise EvaluationError("vector cannot contain metrics with the same labelset")


def nameless(run: Run, labels: Sequence[Labels], values: list[float]) -> Vector:
    """Return a vector whose metric names no longer describe its values."""
    if run.options.delayed_names:
        return Vector(labels, values, [True] * len(labels))
    return Vector(once(labels, _nameless, _nameless), values)


def _nameless(labels: Sequence[Labels]) -> Shape:
    """Return label sets without names, or raise where two are the same."""
    shape = Shape(map(without_name, labels))
    _checked(shape)
    return shape


def finished(vector: Vector) -> Vector:
    """Return a result without the names that were to be dropped at the end."""
    if vector.flags is None:
        return vector
    pairs = zip(vector.labels, vector.flags, strict=True)
    named = [without_name(labels) if flag else labels for labels, flag in pairs]
    return distinct(Vector(named, vector.values))
