"""Which part of a fleet is meant, by what it is divided, and how that is written in PromQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agent.report.scope import quoted

LATEST: Final = "4m59s"
"""Five minutes of which, off by a second, no sample counts for two windows."""

_SPECIAL: Final = frozenset(".+*?()|[]{}^$\\")


class By(StrEnum):
    """By what a fleet is divided."""

    MODEL = "model"
    GPU = "gpu"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a fleet.

    Attributes:
        by: by what it is divided.
        clusters: only these; all where there are none.
        model_name: only this; None for all.
        cluster_label: label by which clusters are told apart.
    """

    by: By = By.MODEL
    clusters: Sequence[str] = ()
    model_name: str | None = None
    cluster_label: str = "cluster"

    @property
    def label(self) -> str:
        """The label by whose values the fleet is divided."""
        names = {By.MODEL: "model_name", By.GPU: "gpu_type", By.CLUSTER: self.cluster_label}
        return names[self.by]

    def selector(self, name: str, *further: str, by_model: bool = True) -> str:
        """Return the selector of what is recorded for this part.

        Args:
            name: of the recorded series.
            further: conditions.
            by_model: whether it is recorded by model.
        """
        pairs = list(further)
        if self.clusters:
            # What a label may be is alternatives of a pattern, so that what is special is not.
            either = "|".join(map(_literal, self.clusters))
            pairs.append(f"{self.cluster_label}=~{quoted(either)}")
        if self.model_name is not None and by_model:
            pairs.append(f"model_name={quoted(self.model_name)}")
        return f"{name}{{{','.join(pairs)}}}"


def _literal(text: str) -> str:
    """Return a pattern of RE2 that finds this text alone."""
    return "".join(f"\\{one}" if one in _SPECIAL else one for one in text)
