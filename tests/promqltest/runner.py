"""Running scripts: what passes, what fails and why, what is out of scope."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from agent.promql import (
    Notes,
    Options,
    PromqlError,
    Query,
    Scalar,
    UnsupportedError,
    Value,
    Vector,
    evaluate_instant,
    evaluate_range,
    parse,
)
from agent.promql.labels import BUCKET, NAME, value_of, with_label
from agent.store.series import Labels
from tests.promqltest.check import WrongError, check_failure, check_notes, check_value
from tests.promqltest.memory import MemorySource, matching
from tests.promqltest.script import NATIVE, Clear, Evaluation, Load, commands

# As Prometheus runs them: names are dropped at the end.
OPTIONS = Options(delayed_names=True)
_MINUTE = 60.0


class Outcome(StrEnum):
    """What became of a case."""

    PASSED = "passed"
    FAILED = "failed"
    OUT_OF_SCOPE = "out_of_scope"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case, and why."""

    script: str
    line: int
    query: str
    outcome: Outcome
    reason: str = ""


@dataclass(slots=True)
class _Storage:
    """What a script has loaded; of native histograms only which series they are."""

    source: MemorySource = field(default_factory=MemorySource)
    native: set[Labels] = field(default_factory=set)

    def load(self, command: Load) -> None:
        """Add samples."""
        for item in command.series:
            if NATIVE in item.points:
                self.native.add(item.labels)
            self.source.add(
                item.labels,
                (
                    (index * command.interval, point)
                    for index, point in enumerate(item.points)
                    if isinstance(point, float)
                ),
            )
            if command.custom_buckets and value_of(item.labels, BUCKET):
                name = value_of(item.labels, NAME).removesuffix("_bucket")
                self.native.add(with_label(with_label(item.labels, BUCKET, ""), NAME, name))

    def touches_native(self, query: Query) -> bool:
        """Return whether a query selects a native histogram."""
        return any(
            matching(selector.matchers, labels)
            for selector in query.selectors
            for labels in self.native
        )


def run_script(path: Path) -> Iterator[Result]:
    """Run every case of a script."""
    storage = _Storage()
    for command in commands(path.read_text()):
        if isinstance(command, Clear):
            storage = _Storage()
        elif isinstance(command, Load):
            storage.load(command)
        else:
            outcome, reason = _outcome(command, storage)
            yield Result(path.stem, command.line, command.query, outcome, reason)


def _outcome(case: Evaluation, storage: _Storage) -> tuple[Outcome, str]:
    """Run one case."""
    if any(NATIVE in item.points for item in case.expected.series):
        return Outcome.OUT_OF_SCOPE, "a native histogram is expected"
    try:
        query = parse(case.query, experimental=True)
        if storage.touches_native(query):
            return Outcome.OUT_OF_SCOPE, "selects a native histogram"
        _check(case, query, storage.source)
    except UnsupportedError as error:
        return Outcome.OUT_OF_SCOPE, str(error)
    except (PromqlError, WrongError) as error:
        return _failure(case, error)
    return Outcome.PASSED, ""


def _failure(case: Evaluation, error: PromqlError | WrongError) -> tuple[Outcome, str]:
    """Judge a query that was refused, or a wrong answer."""
    if isinstance(error, PromqlError) and "fail" in case.expected.rules:
        try:
            check_failure(case.expected, str(error))
        except WrongError as wrong:
            return Outcome.FAILED, str(wrong)
        return Outcome.PASSED, ""
    return Outcome.FAILED, str(error)


def _check(case: Evaluation, query: Query, source: MemorySource) -> None:
    """Evaluate and check one case that should have an answer, an instant one as a range too."""
    notes = Notes()
    if case.step is not None:
        value: Value = evaluate_range(
            query, source, case.start, case.end, case.step, options=OPTIONS, notes=notes
        )
    else:
        value = evaluate_instant(query, source, case.start, options=OPTIONS, notes=notes)
    if "fail" in case.expected.rules:
        raise WrongError("did not fail")
    check_notes(case.expected, notes)
    check_value(case, value)
    if isinstance(value, Scalar | Vector) and "ordered" not in case.expected.rules:
        _check_as_range(case, query, source, value)


def _check_as_range(
    case: Evaluation, query: Query, source: MemorySource, value: Scalar | Vector
) -> None:
    """Check that the middle of a range query is the answer to the instant one."""
    found = evaluate_range(
        query, source, case.start - _MINUTE, case.start + _MINUTE, _MINUTE, options=OPTIONS
    )
    middle = [
        (item.labels, number)
        for item in found.series
        for time, number in zip(item.times, item.values, strict=True)
        if time == case.start
    ]
    labels, values = [item for item, _ in middle], [number for _, number in middle]
    check_value(case, Scalar(values[0]) if isinstance(value, Scalar) else Vector(labels, values))
