"""Whether an answer is the expected one."""

import re
from collections.abc import Sequence
from math import isnan
from sys import float_info

from agent.promql import Matrix, Notes, Scalar, String, Value, Vector
from agent.promql.labels import shown
from agent.store.series import SeriesSamples, is_stale, milliseconds
from tests.promqltest.script import Evaluation, Expected

EPSILON = 1e-6


class WrongError(Exception):
    """The answer is not the expected one; the message says where."""


def close(left: float, right: float) -> bool:
    """Return whether two floats are within one part in a million, NaN equal to NaN."""
    if is_stale(left) or is_stale(right):
        return is_stale(left) and is_stale(right)
    if left == right or (isnan(left) and isnan(right)):
        return True
    scale, distance = abs(left) + abs(right), abs(left - right)
    if left == 0 or right == 0 or scale < float_info.min:
        return distance < EPSILON * float_info.min
    return distance / min(scale, float_info.max) < EPSILON


def _matches(rule: tuple[str, str], text: str) -> bool:
    """Return whether a message is the demanded one."""
    kind, wanted = rule
    if kind == "msg":
        return text == wanted
    return kind != "regex" or re.search(wanted, text) is not None


def check_failure(expected: Expected, message: str) -> None:
    """Check the message of a query that failed as it should."""
    for rule in expected.rules["fail"]:
        if not _matches(rule, message):
            raise WrongError(f"failed with {message!r} instead of {rule[1]!r}")


def check_notes(expected: Expected, notes: Notes) -> None:
    """Check warnings and infos."""
    for name, found in (("warn", notes.warnings), ("info", notes.infos)):
        if f"no_{name}" in expected.rules and found:
            raise WrongError(f"unexpected {name}: {found[0]}")
        for rule in expected.rules.get(name, []):
            if not any(_matches(rule, text) for text in found):
                raise WrongError(f"expected {name} {rule[1]!r}, found {found}")


def check_value(case: Evaluation, value: Value) -> None:
    """Check an answer."""
    expected = case.expected
    if isinstance(value, String):
        if value.value != expected.string:
            raise WrongError(f"string {value.value!r} instead of {expected.string!r}")
    elif isinstance(value, Scalar):
        if expected.scalar is None:
            raise WrongError(f"scalar {value.value}")
        if not close(value.value, expected.scalar):
            raise WrongError(f"{value.value} instead of {expected.scalar}")
    elif expected.scalar is not None:
        raise WrongError("no scalar")
    elif isinstance(value, Vector):
        _check_vector(expected, value)
    else:
        _check_matrix(case, value)


def _check_vector(expected: Expected, value: Vector) -> None:
    """Check an instant vector."""
    wanted = {item.labels: item.points[0] for item in expected.series}
    _check_labels([*wanted], value.labels)
    for labels, number in value:
        if not close(number, float(str(wanted[labels]))):
            raise WrongError(f"{number!r} instead of {wanted[labels]!r} for {shown(labels)}")
    if "ordered" in expected.rules and [*wanted] != [*value.labels]:
        raise WrongError(f"order {[shown(labels) for labels in value.labels]}")


def _check_matrix(case: Evaluation, value: Matrix) -> None:
    """Check series over time."""
    if value.series != sorted(value.series, key=lambda item: item.labels):
        raise WrongError("series are not sorted")
    start, _, step = case.expected.grid or (case.start, case.end, case.step or 0)
    wanted = {
        item.labels: [
            (milliseconds(start + index * step), float(str(point)))
            for index, point in enumerate(item.points)
            if point is not None
        ]
        for item in case.expected.series
    }
    wanted = {labels: points for labels, points in wanted.items() if points}
    _check_labels([*wanted], [item.labels for item in value.series])
    for item in value.series:
        _check_points(item, wanted[item.labels])


def _check_points(item: SeriesSamples, wanted: list[tuple[int, float]]) -> None:
    """Check the samples of one series."""
    found = [*zip(map(milliseconds, item.times), item.values, strict=True)]
    same = len(found) == len(wanted) and all(
        time == when and close(value, number)
        for (time, value), (when, number) in zip(found, wanted, strict=True)
    )
    if not same:
        raise WrongError(f"{found} instead of {wanted} for {shown(item.labels)}")


def _check_labels(wanted: Sequence[object], found: Sequence[object]) -> None:
    """Check that the series are the expected ones."""
    missing = [item for item in wanted if item not in found]
    surplus = [item for item in found if item not in wanted]
    if missing or surplus:
        raise WrongError(f"missing {missing}, not expected {surplus}")
