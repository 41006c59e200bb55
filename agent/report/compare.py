"""Two reports side by side: two engines, or one at two times."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from agent.report.words import FIGURES


def compared(
    document: Mapping[str, Any], other: Mapping[str, Any], *, same: bool
) -> dict[str, Any]:
    """Return what the document says of another report.

    Args:
        document: the one that is compared.
        other: what it is compared with.
        same: both are about the same engines, at two times; else about one engine each.
    """
    return {
        "window": other["window"],
        "subjects": other["subjects"],
        "incidents": other["incidents"],
        "alerts": other["alerts"],
        "comparisons": [
            _compared(one, another)
            for one, another in _pairs(document["subjects"], other["subjects"], same=same)
        ],
    }


def _pairs(
    subjects: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], *, same: bool
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return what is compared with what."""
    if not same:
        return list(zip(subjects[:1], others[:1], strict=True))
    known = {_name(one): one for one in others}
    return [(one, known[_name(one)]) for one in subjects if _name(one) in known]


def _name(subject: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells a subject from others."""
    return tuple(subject[key] for key in ("kind", "engine", "instance_name", "model_name"))


def _compared(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return each figure of both, and by how much the first is more."""
    return {
        "this": _who(one),
        "other": _who(other),
        "figures": [
            _figure(figure.name, ".".join(figure.path), figure.of(one), figure.of(other))
            for figure in FIGURES
        ],
    }


def _who(subject: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a subject is called."""
    return {key: subject[key] for key in ("kind", "engine", "instance_name", "model_name")}


def _figure(name: str, key: str, this: float | None, other: float | None) -> dict[str, Any]:
    """Return a figure of both; the ratio only where it has a meaning."""
    known = None if this is None or other is None else (this, other)
    return {
        "name": name,
        "key": key,
        "this": this,
        "other": other,
        "difference": None if known is None else _difference(*known),
        "ratio": None if known is None or not min(known) > 0 else _ratio(*known),
    }


def _difference(this: float, other: float) -> float:
    """Return a difference; one that is only of the last digits is none."""
    return 0.0 if math.isclose(this, other, rel_tol=1e-9) else this - other


def _ratio(this: float, other: float) -> float:
    """Return a quotient; one that differs from 1 only in the last digits is 1."""
    return 1.0 if math.isclose(this, other, rel_tol=1e-9) else this / other
