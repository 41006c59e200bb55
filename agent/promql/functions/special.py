"""Functions that are about time, presence and order rather than about values."""

import re
from collections.abc import Mapping, Sequence
from functools import cmp_to_key
from math import isnan, nan, pi
from typing import Final

from agent.promql.functions.call import Build, Call
from agent.promql.labels import NAME, value_of, with_label
from agent.promql.run import Run, ScalarExpr, VectorExpr, nameless, windows
from agent.promql.values import Vector
from agent.store.series import Labels, Matcher, MatchOp

_DIGITS: Final = frozenset("0123456789")


def _absent_labels(matchers: Sequence[Matcher]) -> Labels:
    """Return the labels that a selector demands, which are those of what is absent."""
    labels: Labels = ()
    seen: set[str] = set()
    for matcher in matchers:
        if matcher.name == NAME:
            continue
        wanted = matcher.op is MatchOp.EQUAL and matcher.name not in seen
        labels = with_label(labels, matcher.name, matcher.value if wanted else "")
        if wanted:
            seen.add(matcher.name)
    return labels


def _absent(call: Call) -> VectorExpr:
    """`absent`."""
    vector = call.vector(0)
    labels = _absent_labels(vector.matchers)

    def at(run: Run, time: int) -> Vector:
        return Vector([], []) if vector.at(run, time).labels else Vector([labels], [1.0])

    return VectorExpr(at)


def _absent_over_time(call: Call) -> VectorExpr:
    """`absent_over_time`."""
    source = call.range(0)
    labels = _absent_labels(source.matchers)

    def at(run: Run, time: int) -> Vector:
        window = source.window(run, time)
        columns = source.columns(run, window)
        if columns is not None:
            present = bool(columns)
        else:
            present = next(windows(source.rows(run), window), None) is not None
        return Vector([], []) if present else Vector([labels], [1.0])

    return VectorExpr(at)


def _scalar(call: Call) -> ScalarExpr:
    """`scalar`: the only value of a vector, else NaN."""
    vector = call.vector(0).at

    def at(run: Run, time: int) -> float:
        values = vector(run, time).values
        return values[0] if len(values) == 1 else nan

    return ScalarExpr(at)


def _vector(call: Call) -> VectorExpr:
    """`vector`: a number as a series without labels."""
    number = call.scalar(0).at
    return VectorExpr(lambda run, time: Vector([()], [number(run, time)]))


def _time(_: Call) -> ScalarExpr:
    """`time`: when it is asked."""

    def at(run: Run, time: int) -> float:
        run.moving()
        return time / 1000

    return ScalarExpr(at)


def _timestamp(call: Call) -> VectorExpr:
    """`timestamp`: when each sample was taken; of what is computed, the time it is asked for."""
    vector = call.vector(0)

    def at(run: Run, time: int) -> Vector:
        if vector.stamped is not None:
            found = vector.stamped(run, time)
            return nameless(run, found.labels, found.values)
        found = vector.at(run, time)
        run.moving()
        return nameless(run, found.labels, [time / 1000] * len(found))

    return VectorExpr(at)


def _warn_of_order(run: Run, call: Call) -> None:
    """Warn that a range query orders its result by labels."""
    if run.notes is not None and run.start != run.end:
        run.notes.warn(
            "sort is ineffective for range queries since results are always ordered by labels",
            call.site,
        )


def _sort(call: Call, *, descending: bool) -> VectorExpr:
    """`sort` and `sort_desc`: by value, NaN last."""
    vector = call.vector(0).at
    sign = -1.0 if descending else 1.0

    def at(run: Run, time: int) -> Vector:
        _warn_of_order(run, call)
        found = vector(run, time)
        values = found.values
        numbers = [place for place, value in enumerate(values) if not isnan(value)]
        others = [place for place, value in enumerate(values) if isnan(value)]
        return found.pick(sorted(numbers, key=lambda place: sign * values[place]) + others)

    return VectorExpr(at)


def _natural(text: str) -> list[tuple[int, int, str, str]]:
    """Return the parts of a text, so that numbers within it compare as numbers."""
    return [
        # By their digits, of which there may be more than Python takes for one number.
        (0, len(digits := part.lstrip("0")), digits, part)
        if part[0] in _DIGITS
        else (1, 0, part, "")
        for part in re.findall(r"[0-9]+|[^0-9]+", text)
    ]


def _sort_by_label(call: Call, *, descending: bool) -> VectorExpr:
    """`sort_by_label` and `sort_by_label_desc`: by these labels, then by all."""
    vector = call.vector(0).at
    names = [call.text(index) for index in range(1, len(call))]

    def compare(left: Labels, right: Labels) -> int:
        for name in names:
            one, other = value_of(left, name), value_of(right, name)
            if one != other:
                return -1 if _natural(one) < _natural(other) else 1
        return (left > right) - (left < right)

    def at(run: Run, time: int) -> Vector:
        _warn_of_order(run, call)
        found = vector(run, time)
        order = cmp_to_key(compare)
        places = sorted(range(len(found)), key=lambda i: order(found.labels[i]), reverse=descending)
        return found.pick(places)

    return VectorExpr(at)


TABLE: Final[Mapping[str, Build]] = {
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "pi": lambda _: ScalarExpr(lambda _run, _time: pi),
    "scalar": _scalar,
    "sort": lambda call: _sort(call, descending=False),
    "sort_desc": lambda call: _sort(call, descending=True),
    "sort_by_label": lambda call: _sort_by_label(call, descending=False),
    "sort_by_label_desc": lambda call: _sort_by_label(call, descending=True),
    "time": _time,
    "timestamp": _timestamp,
    "vector": _vector,
}
