"""Evaluation: fetch what the plan of a query names, then compute."""

from typing import Final

from agent.promql.budget import Budget
from agent.promql.errors import EvaluationError, PromqlError
from agent.promql.notes import Notes
from agent.promql.plan import Selector
from agent.promql.query import Query
from agent.promql.reads import Reads
from agent.promql.run import (
    Expr,
    Options,
    RangeExpr,
    Row,
    Run,
    ScalarExpr,
    StringExpr,
    VectorExpr,
    finished,
    windows,
)
from agent.promql.selectors import series
from agent.promql.values import Matrix, Scalar, String, Value, Vector
from agent.store.recent import Columns, Newest
from agent.store.series import SeriesSamples, Source, is_stale, milliseconds

_DEFAULT = Options()
_TOO_DEEP: Final = "too deeply nested to be evaluated"


def evaluate_instant(
    query: Query,
    source: Source,
    time: float,
    *,
    options: Options = _DEFAULT,
    notes: Notes | None = None,
    reads: Reads | None = None,
) -> Value:
    """Evaluate at one time.

    Args:
        query: what is asked.
        source: where samples come from; asked once for each selector.
        time: Unix seconds, of which milliseconds count.
        options: see there.
        notes: takes warnings and infos.
        reads: takes what was looked at.

    Raises:
        EvaluationError: it has no answer on these samples, or takes too many of them.
    """
    moment = milliseconds(time)
    budget = Budget(options.max_samples)
    data = _Fetched(query, source, moment, moment, options, budget=budget, reads=reads)
    run = Run(moment, moment, 1, moment, moment, options, data, budget, notes, reads)
    try:
        return _value(query.root, run, moment)
    except RecursionError as error:
        raise EvaluationError(_TOO_DEEP) from error


def _value(root: Expr, run: Run, moment: int) -> Value:
    """Return what an expression gives."""
    if isinstance(root, VectorExpr):
        return finished(root.at(run, moment))
    if isinstance(root, ScalarExpr):
        return Scalar(root.at(run, moment))
    if isinstance(root, StringExpr):
        return String(root.text)
    return _samples(root, run, moment)


def evaluate_range(
    query: Query,
    source: Source,
    start: float,
    end: float,
    step: float,
    *,
    options: Options = _DEFAULT,
    notes: Notes | None = None,
) -> Matrix:
    """Evaluate at every step from start to end, both included; see `evaluate_instant`.

    Args:
        query: a number or a vector; a number becomes a series without labels.
        source: where samples come from; asked once for each selector.
        start: Unix seconds.
        end: Unix seconds.
        step: seconds, at least a millisecond.
        options: see there.
        notes: takes warnings and infos.

    Raises:
        PromqlError: the query is neither a number nor a vector, or the step is not positive.
        EvaluationError: it has no answer on these samples, or takes too many of them.
    """
    root = query.root
    first, last, every = milliseconds(start), milliseconds(end), milliseconds(step)
    if every < 1:
        raise PromqlError("the step of a range query must be at least a millisecond")
    if isinstance(root, ScalarExpr):
        number = root.at
        root = VectorExpr(lambda run, time: Vector([()], [number(run, time)]))
    if not isinstance(root, VectorExpr):
        raise PromqlError("a range query must be a scalar or an instant vector")
    budget = Budget(options.max_samples)
    data = _Fetched(query, source, first, last, options, budget=budget)
    run = Run(first, last, every, first, last, options, data, budget, notes)
    try:
        found = series(root, run, finish=True)
    except RecursionError as error:
        raise EvaluationError(_TOO_DEEP) from error
    return Matrix([SeriesSamples(row.labels, row.times, row.values) for row in sorted(found)])


class _Fetched:
    """The samples of each selector, fetched when an operand that reads them is evaluated.

    Most alerts have an operand without a result at nearly every moment, and what it would be
    compared with then costs nothing.
    """

    def __init__(
        self,
        query: Query,
        source: Source,
        start: int,
        end: int,
        options: Options,
        *,
        budget: Budget,
        reads: Reads | None = None,
    ) -> None:
        self._selectors = query.selectors
        self._source = source
        self._start = start
        self._end = end
        self._budget = budget
        self._reads = reads
        self._lookback = milliseconds(options.lookback)
        self._rows: dict[int, list[Row]] = {}
        # A source may know cheaper ways to what is asked of a single time.
        single = start == end
        self._latest = getattr(source, "latest", None) if single else None
        self._newest = getattr(source, "newest", None) if single else None
        self._columns = getattr(source, "columns", None) if single else None

    def __getitem__(self, index: int) -> list[Row]:
        if self._reads is not None:
            self._reads.steady = False
        rows = self._rows.get(index)
        if rows is None:
            rows = self._rows[index] = self._fetch(self._selectors[index])
        return rows

    def newest(self, index: int) -> Vector | None:
        """Return what an instant selector gives, where the source has it ready."""
        selector = self._selectors[index]
        if self._newest is None or selector.path:
            return None
        start, end = selector.span(self._start, self._end, self._lookback)
        newest: Newest | None = self._newest(selector.matchers, start, end)
        if self._reads is not None:
            self._reads.newest(selector.matchers, newest)
        return None if newest is None else Vector(newest.labels, newest.values)

    def columns(self, index: int, start: int, end: int) -> tuple[Columns, ...] | None:
        """Return the samples of a range selector, where the source has them as columns."""
        selector = self._selectors[index]
        if self._columns is None or selector.path:
            return None
        found: tuple[Columns, ...] | None = self._columns(selector.matchers, start, end)
        if self._reads is not None:
            self._reads.columns(selector.matchers, start, found)
        return found

    def _fetch(self, selector: Selector) -> list[Row]:
        """Return the samples of one selector."""
        start, end = selector.span(self._start, self._end, self._lookback)
        begin, until = start / 1000, end / 1000
        if self._latest is not None and selector.range is None and not selector.path:
            newest = self._latest(selector.matchers, begin, until)
            self._budget.take(len(newest))
            return [Row(labels, [time], [value], False) for labels, time, value in newest]
        found = self._source.select(selector.matchers, begin, until)
        self._budget.take(sum(len(item.times) for item in found))
        if selector.range is None:
            return [Row(item.labels, item.times, item.values, False) for item in found]
        return [_without_markers(item) for item in found]


def _without_markers(item: SeriesSamples) -> Row:
    """Return a series as ranges see it: the markers of its ends are no samples."""
    times, values = item.times, item.values
    # Lists once, instead of a new number object at each look into an array.
    values = values if isinstance(values, list) else [*values]
    total = sum(values)
    # NaN in the sum means a NaN among the values, or infinities of both signs.
    if total != total:  # noqa: PLR0124 - only NaN differs from itself
        kept = [place for place, value in enumerate(values) if not is_stale(value)]
        times = [times[place] for place in kept]
        values = [values[place] for place in kept]
    return Row(item.labels, times, values, False)


def _samples(root: RangeExpr, run: Run, moment: int) -> Matrix:
    """Return the samples of a range themselves."""
    found = [*windows(root.rows(run), root.window(run, moment))]
    flags = [row.flagged for row, _, _ in found]
    named = finished(Vector([row.labels for row, _, _ in found], [0.0] * len(found), flags))
    samples = [
        SeriesSamples(labels, times, values)
        for labels, (_, times, values) in zip(named.labels, found, strict=True)
    ]
    return Matrix(sorted(samples, key=lambda item: item.labels))
