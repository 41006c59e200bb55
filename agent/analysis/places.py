"""Where in a window the columns of one engine, of its GPUs and of the host stand."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.model import Metric

Indexes: TypeAlias = NDArray[np.intp]
Key: TypeAlias = tuple[Any, ...]
"""Metric, suffix, and the label values beyond those of the engine."""

_NONE: Final[Mapping[Key, Sequence[int]]] = MappingProxyType({})


class Several(NamedTuple):
    """Columns that are asked for together; what is not there stands at the place of the last."""

    places: Indexes
    missing: Sequence[int]


class Buckets(NamedTuple):
    """The buckets of a histogram: upper bounds, ascending, and where their columns stand."""

    bounds: NDArray[np.float64]
    places: Indexes


class Places:
    """Knows where the columns stand, and what was asked together before.

    The parts of the analysis ask for the same columns each time; to look each of them up again
    takes longer than to read it.

    Args:
        columns: place of each column.
        buckets: by metric, upper bound and place of each bucket, ascending.
        gpus: places of the columns of the engine's GPUs, by the same keys.
    """

    def __init__(
        self,
        columns: Mapping[Key, int],
        buckets: Mapping[Metric, Sequence[tuple[float, int]]],
        gpus: Mapping[Key, Sequence[int]] = _NONE,
    ) -> None:
        self.columns = columns
        self._buckets = buckets
        self._gpus = gpus
        self._several: dict[tuple[Key, ...], Several] = {}
        self._histograms: dict[Metric, Buckets | None] = {}
        self._by_gpu: dict[Key, Indexes] = {}
        self._by_gpus: dict[tuple[Key, ...], tuple[Indexes, Sequence[tuple[int, int]]]] = {}
        self._labels: dict[Metric, list[tuple[str, ...]]] = {}

    def several(self, keys: tuple[Key, ...]) -> Several:
        """Return the places of columns that are asked for together."""
        found = self._several.get(keys)
        if found is None:
            places = [self.columns.get(key, -1) for key in keys]
            missing = [index for index, place in enumerate(places) if place < 0]
            found = self._several[keys] = Several(np.array(places, dtype=np.intp), missing)
        return found

    def histogram(self, metric: Metric) -> Buckets | None:
        """Return the buckets of a histogram, None where there are none."""
        if metric not in self._histograms:
            buckets = self._buckets.get(metric) or ()
            self._histograms[metric] = (
                Buckets(
                    np.array([bound for bound, _place in buckets]),
                    np.array([place for _bound, place in buckets], dtype=np.intp),
                )
                if buckets
                else None
            )
        return self._histograms[metric]

    def labels(self, metric: Metric) -> list[tuple[str, ...]]:
        """Return the further label values that a metric has."""
        found = self._labels.get(metric)
        if found is None:
            keys = (key for key in self.columns if key[0] is metric and key[1] == "")
            found = self._labels[metric] = [key[2:] for key in keys]
        return found

    def gpu(self, key: Key) -> Indexes:
        """Return the place of a metric of each GPU."""
        found = self._by_gpu.get(key)
        if found is None:
            found = self._by_gpu[key] = np.array(self._gpus.get(key, ()), dtype=np.intp)
        return found

    def gpus(self, keys: tuple[Key, ...]) -> tuple[Indexes, Sequence[tuple[int, int]]]:
        """Return the places of several metrics of each GPU, and from where to where each has its.

        Args:
            keys: of each the metric and the further label values.
        """
        found = self._by_gpus.get(keys)
        if found is None:
            each = [self.gpu((key[0], "", *key[1:])) for key in keys]
            ends = [0, *accumulate(map(len, each))]
            found = self._by_gpus[keys] = (np.concatenate(each), [*pairwise(ends)])
        return found
