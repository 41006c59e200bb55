"""Operations on label sets; the frequent ones remember their answers.

A label set is a sorted tuple of pairs, see `agent.store.series.Labels`. Evaluation asks for the
same few transformations of the same few thousand label sets every second.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from agent.store.series import Labels

NAME: Final = "__name__"
BUCKET: Final = "le"

# Enough for a large host; series that come and go must not collect for ever.
_REMEMBERED: Final = 16_384


@lru_cache(maxsize=_REMEMBERED)
def without_name(labels: Labels) -> Labels:
    """Return the labels without the name of the metric."""
    return tuple(pair for pair in labels if pair[0] != NAME)


def value_of(labels: Labels, name: str) -> str:
    """Return the value of a label, empty where it is absent."""
    for key, value in labels:
        if key == name:
            return value
    return ""


def with_label(labels: Labels, name: str, value: str) -> Labels:
    """Return the labels with one set anew; an empty value removes it."""
    rest = [pair for pair in labels if pair[0] != name]
    if value:
        rest.append((name, value))
    return tuple(sorted(rest))


def keeper(names: Iterable[str]) -> Callable[[Labels], Labels]:
    """Return a function that keeps only these labels."""
    kept = frozenset(names)

    @lru_cache(maxsize=_REMEMBERED)
    def keep(labels: Labels) -> Labels:
        return tuple(pair for pair in labels if pair[0] in kept)

    return keep


def remover(names: Iterable[str]) -> Callable[[Labels], Labels]:
    """Return a function that removes these labels and the name of the metric."""
    removed = frozenset(names) | {NAME}

    @lru_cache(maxsize=_REMEMBERED)
    def remove(labels: Labels) -> Labels:
        return tuple(pair for pair in labels if pair[0] not in removed)

    return remove


@lru_cache(maxsize=_REMEMBERED)
def split_bucket(labels: Labels) -> tuple[Labels, float | None]:
    """Return the labels without `le`, and its bound; None where it is missing or no number."""
    text = value_of(labels, BUCKET)
    bound: float | None = None
    # float() takes more than Prometheus does: blanks around and underscores between digits.
    if text and "_" not in text and text.strip() == text:
        try:
            bound = float(text)
        except ValueError:
            bound = None
    return tuple(pair for pair in labels if pair[0] != BUCKET), bound


def quoted(text: str) -> str:
    """Return the text in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def shown(labels: Labels) -> str:
    """Return the labels as messages show them: every pair in braces, the name included."""
    return "{" + ", ".join(f"{key}={quoted(value)}" for key, value in labels) + "}"
