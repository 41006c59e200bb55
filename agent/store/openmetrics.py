"""A range of the history as OpenMetrics text, such as `promtool tsdb create-blocks-from` reads."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from agent.store.reader import HistoryReader
from agent.store.series import Labels, Matcher, MatchOp, SeriesSamples, is_stale, milliseconds

_AT_ONCE: Final = 8
"""Series that are read together: what is in memory at a time is these, over the whole range."""

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def export(
    reader: HistoryReader, selectors: Sequence[Sequence[Matcher]], start: float, end: float
) -> Iterator[str]:
    """Yield the text piece by piece.

    The end of a series, which OpenMetrics cannot say, is left out. The type of what does not end
    in `_total` is given as unknown: a history does not keep types.

    Args:
        reader: the history.
        selectors: series that satisfy all matchers of any of these; none for every series.
        start: Unix seconds, itself left out.
        end: Unix seconds, itself included.

    Raises:
        HistoryError: the history cannot be read.
    """
    wanted = sorted({labels for chosen in selectors or [()] for labels in reader.series(chosen)})
    by_name = sorted(wanted, key=lambda labels: dict(labels)["__name__"])
    for name, group in groupby(by_name, key=lambda labels: dict(labels)["__name__"]):
        counter = name.endswith("_total")
        head = f"# TYPE {name.removesuffix('_total')} {'counter' if counter else 'unknown'}\n"
        series = list(group)
        for index in range(0, len(series), _AT_ONCE):
            few = frozenset(series[index : index + _AT_ONCE])
            found = reader.select((_named(name),), start, end, only=few)
            for samples in sorted(found, key=lambda one: one.labels):
                lines = _lines(name, samples)
                if lines:
                    yield head + lines
                    head = ""
    yield "# EOF\n"


def _named(name: str) -> Matcher:
    """Return the condition that a metric has this name."""
    return Matcher("__name__", MatchOp.EQUAL, name)


def _lines(name: str, samples: SeriesSamples) -> str:
    """Return the lines of a series."""
    key = name + _braces(samples.labels)
    return "".join(
        [
            f"{key} {_number(value)} {milliseconds(time) / 1000:.3f}\n"
            for time, value in zip(samples.times, samples.values, strict=True)
            if not is_stale(value)
        ]
    )


def _braces(labels: Labels) -> str:
    """Return the labels as they stand behind a name."""
    pairs = [
        f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels if name != "__name__"
    ]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _number(value: float) -> str:
    """Return a value as OpenMetrics writes it."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)
