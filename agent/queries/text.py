"""Results as the API writes them: JSON, and the text format for federation."""

import json
from collections.abc import Iterator, Sequence

from agent.promql import Matrix, Scalar, Value, Vector
from agent.queries.numbers import sample_text, scalar_text, seconds_text
from agent.store.series import Labels, SeriesSamples


def value_json(value: Value, moment: int, *, shift: int = 0) -> Iterator[str]:
    """Yield the data of an answer.

    Args:
        value: the result.
        moment: of the query, in milliseconds.
        shift: milliseconds that every time in the result is put forward.
    """
    moment += shift
    if isinstance(value, Matrix):
        yield '{"resultType":"matrix","result":['
        for place, series in enumerate(value.series):
            yield "," if place else ""
            yield from _series_json(series, shift)
        yield "]}"
        return
    if isinstance(value, Vector):
        stamp = seconds_text(moment)
        yield '{"resultType":"vector","result":['
        for place, (labels, number) in enumerate(value):
            comma = "," if place else ""
            yield (
                f'{comma}{{"metric":{labels_json(labels)},"value":[{stamp},"{sample_text(number)}"]}}'
            )
        yield "]}"
        return
    kind = "scalar" if isinstance(value, Scalar) else "string"
    text = scalar_text(value.value) if isinstance(value, Scalar) else value.value
    stamp = sample_text(moment / 1000)
    yield f'{{"resultType":"{kind}","result":[{stamp},{_string(text)}]}}'


def _series_json(series: SeriesSamples, shift: int) -> Iterator[str]:
    """Yield a series."""
    yield f'{{"metric":{labels_json(series.labels)},"values":['
    yield ",".join(
        [
            f'[{seconds_text(round(time * 1000) + shift)},"{sample_text(value)}"]'
            for time, value in zip(series.times, series.values, strict=True)
        ]
    )
    yield "]}"


def labels_json(labels: Labels) -> str:
    """Return labels as an object."""
    return _compact({name: printable(value) for name, value in labels})


def names_json(names: Sequence[str]) -> str:
    """Return names as an array."""
    return _compact([printable(name) for name in names])


def printable(text: str) -> str:
    """Return text with what was never UTF-8, such as in the name of a process, as on the page."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _string(text: str) -> str:
    """Return text as JSON."""
    return _compact(printable(text))


def _compact(what: object) -> str:
    """Return JSON without blanks."""
    return json.dumps(what, separators=(",", ":"), ensure_ascii=False)


def federated(samples: Sequence[tuple[Labels, float, float]], *, shift: int = 0) -> Iterator[str]:
    """Yield samples in the text format, each with its time, sorted.

    Args:
        samples: labels, Unix seconds, value; of each series one.
        shift: milliseconds that every time is put forward.
    """
    before = None
    named = [
        (name, labels, time, value)
        for labels, time, value in samples
        if (name := dict(labels).get("__name__"))
    ]
    for name, labels, time, value in sorted(named):
        if name != before:
            yield f"# TYPE {name} untyped\n"
            before = name
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels if key != "__name__")
        yield f"{name}{{{pairs}}} {sample_text(value)} {round(time * 1000) + shift}\n"


def _escaped(value: str) -> str:
    """Return a label value as it stands between quotes."""
    text = printable(value)
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
