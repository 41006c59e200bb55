"""From a question to the pieces of its answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import promql_parser

from agent.promql import (
    EvaluationError,
    Matrix,
    Notes,
    Options,
    PromqlError,
    Query,
    Value,
    Vector,
    evaluate_instant,
    parse,
)
from agent.promql.run import RangeExpr, StringExpr
from agent.queries import text
from agent.queries.asked import Asked, Kind, NoAnswerError, Trouble
from agent.queries.names import label_names, label_values, selector_of, series
from agent.queries.ranges import evaluate_in_pieces
from agent.queries.samples import Samples
from agent.store.series import Labels, milliseconds

_T = TypeVar("_T")

_CUT: Final = "results truncated due to limit"
_PIECES: Final = 4  # a query holds samples, what they are turned into, and the result


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and how a question is answered.

    Attributes:
        source: has the samples.
        most: samples that a query may have in hand.
        subquery_step: seconds between the steps of a subquery that names none.
        shift: seconds that the times of the answer are put forward, and those of the question
            back: of a recording that is played as if it were now.
    """

    source: Samples
    most: int
    subquery_step: float
    shift: float = 0.0


def pieces(asked: Asked, setting: Setting) -> Iterator[str]:
    """Yield the body of the answer.

    Raises:
        NoAnswerError: there is none; then nothing was yielded yet.
    """
    try:
        answer = _Answer(asked, setting)
        first = next(answer.body)
    except EvaluationError as error:
        raise NoAnswerError(Trouble.EXECUTION, str(error)) from error
    except PromqlError as error:
        name = "match[]" if asked.selectors else "query"
        plain = asked.kind is Kind.FEDERATE
        message = str(error) if plain else f'invalid parameter "{name}": {error}'
        raise NoAnswerError(Trouble.BAD_DATA, message) from error
    yield first
    yield from answer.body


class _Answer:
    """One answer, as it comes about.

    Attributes:
        body: its pieces; nothing is evaluated after the first.
    """

    def __init__(self, asked: Asked, setting: Setting) -> None:
        self._asked = asked
        self._source = setting.source
        self._setting = setting
        self._notes = Notes()
        self._options = Options(
            lookback=asked.lookback,
            subquery_step=setting.subquery_step,
            max_samples=setting.most * _PIECES,
        )
        self._shift = milliseconds(setting.shift)
        self._cut = False
        self.body = self._federated() if asked.kind is Kind.FEDERATE else self._json()

    def _json(self) -> Iterator[str]:
        """Yield JSON."""
        data = self._data()
        yield '{"status":"success","data":' + next(data)
        yield from data
        warnings = [*self._notes.warnings, *self._source.warnings]
        if self._cut:
            warnings.append(_CUT)
        if warnings:
            yield f',"warnings":{text.names_json(warnings)}'
        if self._notes.infos:
            yield f',"infos":{text.names_json(self._notes.infos)}'
        yield "}"

    def _data(self) -> Iterator[str]:
        """Yield what was asked for."""
        asked = self._asked
        match asked.kind:
            case Kind.INSTANT | Kind.RANGE:
                query = parse(asked.query, experimental=True)
                instant = asked.kind is Kind.INSTANT
                value = self._instant(query) if instant else self._range(query)
                moment = milliseconds(self._start)
                return text.value_json(self._cut_value(value), moment, shift=self._shift)
            case Kind.FORMAT:
                parse(asked.query, experimental=True)
                return iter([text.names_json([promql_parser.parse(asked.query).prettify()])[1:-1]])
            case Kind.EXEMPLARS:
                parse(asked.query, experimental=True)
                return iter(["[]"])
        found = series(asked, self._source)
        if asked.kind is Kind.SERIES:
            return iter([f"[{','.join(map(text.labels_json, self._limited(found)))}]"])
        names = (
            label_names(found) if asked.kind is Kind.LABELS else label_values(found, asked.label)
        )
        return iter([text.names_json(self._limited(names))])

    @property
    def _start(self) -> float:
        """The time of the query, which whoever passes it on has filled in."""
        return 0.0 if self._asked.start is None else self._asked.start

    def _instant(self, query: Query) -> Value:
        """Return what a query gives at one time."""
        return evaluate_instant(
            query, self._source, self._start, options=self._options, notes=self._notes
        )

    def _range(self, query: Query) -> Value:
        """Return what a query gives at every step.

        Raises:
            PromqlError: it has no result at a step.
        """
        for kind, name in ((StringExpr, "string"), (RangeExpr, "range vector")):
            if isinstance(query.root, kind):
                raise PromqlError(
                    f'invalid expression type "{name}" for range query, must be Scalar or '
                    "instant Vector"
                )
        return evaluate_in_pieces(
            query,
            self._source,
            start=self._start,
            end=self._asked.end,
            step=self._asked.step,
            enough=self._setting.most // _PIECES,
            options=self._options,
            notes=self._notes,
        )

    def _cut_value(self, value: Value) -> Value:
        """Return a result with no more series than are wanted."""
        limit = self._asked.limit
        if isinstance(value, Vector) and 0 < limit < len(value):
            self._cut = True
            return value.pick(range(limit))
        if isinstance(value, Matrix) and 0 < limit < len(value.series):
            self._cut = True
            return Matrix(value.series[:limit])
        return value

    def _limited(self, found: Sequence[_T]) -> Sequence[_T]:
        """Return no more than are wanted."""
        limit = self._asked.limit
        if 0 < limit < len(found):
            self._cut = True
            return found[:limit]
        return found

    def _federated(self) -> Iterator[str]:
        """Yield the newest samples of the series that satisfy any of the selectors."""
        wanted = [selector_of(one) for one in self._asked.selectors]
        end = self._start
        newest: dict[Labels, tuple[float, float]] = {}
        for matchers in wanted:
            for labels, time, value in self._source.latest(
                matchers, end - self._options.lookback, end
            ):
                newest[labels] = (time, value)
        yield ""
        yield from text.federated(
            [(labels, time, value) for labels, (time, value) in newest.items()], shift=self._shift
        )
