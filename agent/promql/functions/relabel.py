"""`label_replace` and `label_join`: new labels from old ones."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from agent.promql.errors import EvaluationError
from agent.promql.functions.call import Build, Call
from agent.promql.labels import NAME, value_of, with_label
from agent.promql.run import Run, VectorExpr, distinct
from agent.promql.values import Vector
from agent.store.regex import compile_re2
from agent.store.series import Labels

_REFERENCE: Final = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)
_LONGEST: Final = 1 << 20
_MOST_DIGITS: Final = 9


def _expander(template: str, pattern: re.Pattern[str]) -> Callable[[re.Match[str]], str]:
    """Return the function that fills `$1`, `${1}` and `$name` of a template; `$$` is a dollar."""

    def expand(match: re.Match[str]) -> str:
        length = len(template)

        def filled(reference: re.Match[str]) -> str:
            nonlocal length
            found = _referenced(reference, match, pattern)
            length += len(found)
            _refuse_endless(length)
            return found

        return _REFERENCE.sub(filled, template)

    return expand


def _referenced(reference: re.Match[str], match: re.Match[str], pattern: re.Pattern[str]) -> str:
    """Return what a reference in a template stands for."""
    name = reference[1] or reference[2]
    if name is None:
        return "$"
    if name.isdigit():
        # So many digits that Python takes them for no number are no group either.
        known = len(name) <= _MOST_DIGITS and int(name) <= pattern.groups
        return (match[int(name)] or "") if known else ""
    return (match[name] or "") if name in pattern.groupindex else ""


def _refuse_endless(length: int) -> None:
    """Raise for a value that a few nested calls would double until memory is full."""
    if length > _LONGEST:
        raise EvaluationError(f"the value of a label would be longer than {_LONGEST} characters")


def _relabelled(call: Call, target: str, change: Callable[[Labels], Labels | None]) -> VectorExpr:
    """Apply a change of labels; None leaves a series as it is."""
    vector = call.vector(0).at
    remembered = lru_cache(maxsize=16_384)(change)

    def at(run: Run, time: int) -> Vector:
        found = vector(run, time)
        changed = [*map(remembered, found.labels)]
        labels = [
            new if new is not None else old for new, old in zip(changed, found.labels, strict=True)
        ]
        flags = found.flags
        if flags is not None and target == NAME:
            # A name that was given on purpose describes the values again.
            flags = [flag and new is None for flag, new in zip(flags, changed, strict=True)]
        return distinct(Vector(labels, found.values, flags))

    return VectorExpr(at)


def _replace(call: Call) -> VectorExpr:
    """`label_replace`: where the source label matches, set the target from a template."""
    target, template, source, expression = (call.text(index) for index in range(1, 5))
    if not target:
        raise EvaluationError('invalid destination label name in label_replace(): ""')
    try:
        pattern = compile_re2(expression)
    except re.error as error:
        raise EvaluationError(
            f"invalid regular expression in label_replace(): {expression}: {error}"
        ) from error
    expand = _expander(template, pattern)

    def change(labels: Labels) -> Labels | None:
        match = pattern.fullmatch(value_of(labels, source))
        return None if match is None else with_label(labels, target, expand(match))

    return _relabelled(call, target, change)


def _join(call: Call) -> VectorExpr:
    """`label_join`: set the target to the values of other labels with a separator between."""
    target, separator, *sources = (call.text(index) for index in range(1, len(call)))
    for kind, name in (("destination", target), *(("source", name) for name in sources)):
        if not name:
            raise EvaluationError(f'invalid {kind} label name in label_join(): ""')

    def change(labels: Labels) -> Labels | None:
        values = [value_of(labels, name) for name in sources]
        _refuse_endless(sum(map(len, values)) + len(separator) * len(values))
        return with_label(labels, target, separator.join(values))

    return _relabelled(call, target, change)


TABLE: Final[Mapping[str, Build]] = {"label_replace": _replace, "label_join": _join}
