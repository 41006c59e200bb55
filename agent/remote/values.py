"""Answers of the Prometheus HTTP API as values of a query."""

import itertools
from array import array
from typing import Any

from agent.model import SourceError
from agent.promql.errors import PromqlError
from agent.promql.values import Matrix, Scalar, String, Value, Vector
from agent.store.series import Labels, SeriesSamples


def value_of(data: Any, url: str) -> Value:
    """Return what an instant query was answered with.

    Args:
        data: of the answer.
        url: that was asked, for people.

    Raises:
        PromqlError: there are native histograms in it.
        SourceError: it makes no sense.
    """
    try:
        kind, result = data["resultType"], data["result"]
        if kind == "scalar":
            return Scalar(float(result[1]))
        if kind == "string":
            return String(str(result[1]))
        if kind == "vector":
            return Vector([_labels(one) for one in result], [float(_at(one)[1]) for one in result])
        if kind == "matrix":
            return Matrix([_series(one) for one in result])
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SourceError(f"{url}: its answer makes no sense: {error!r}") from error
    raise SourceError(f"{url}: its answer is of an unknown kind: {kind!r:.60}")


def matrix_of(data: Any, url: str) -> Matrix:
    """Return what a range query was answered with, sorted by labels; errors as `value_of`."""
    found = value_of(data, url)
    if not isinstance(found, Matrix):
        raise SourceError(f"{url}: it answered a range query with no matrix")
    return Matrix(sorted(found.series, key=lambda one: one.labels))


def _series(one: Any) -> SeriesSamples:
    """Return a series of a matrix."""
    _numbers_only(one)
    pairs = one["values"]
    times = array("d", [float(time) for time, _value in pairs])
    if any(later <= time for time, later in itertools.pairwise(times)):
        raise ValueError("times that do not ascend")
    return SeriesSamples(_labels(one), times, array("d", [float(value) for _time, value in pairs]))


def _at(one: Any) -> Any:
    """Return time and value of a series of a vector."""
    _numbers_only(one)
    return one["value"]


def _numbers_only(one: Any) -> None:
    """Refuse native histograms."""
    if "histogram" in one or "histograms" in one:
        raise PromqlError("native histograms are not supported: ask for the classic buckets")


def _labels(one: Any) -> Labels:
    """Return the labels of a series; one without a value is left out."""
    pairs = one["metric"].items()
    if not all(isinstance(value, str) for _name, value in pairs):
        raise TypeError("a label that is no text")
    return tuple(sorted((name, value) for name, value in pairs if value))
