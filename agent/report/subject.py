"""What a report is about: an instance with all its ranks, or a model with all its instances."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from agent.report.grid import Cells, Column, cells, together, unknown
from agent.report.replica import Replica
from agent.report.scope import Fine, Span
from agent.report.tail import Tail, Timed, added

PER_MINUTE: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Replicas that are reported together.

    Attributes:
        kind: `instance` or `model`.
        engine: kind of the engine; empty where there are several.
        instance_name: empty for a model.
        model_name: as the engine says it; empty where it says none.
        replicas: at least one.
    """

    kind: str
    engine: str
    instance_name: str
    model_name: str
    replicas: Sequence[Replica]

    @property
    def title(self) -> str:
        """A name for people."""
        if self.kind == "model":
            return self.model_name or "model without a name"
        return (
            f"{self.instance_name} ({self.model_name})" if self.model_name else self.instance_name
        )

    @property
    def span(self) -> Span:
        """The grids of all columns."""
        return self.replicas[0].span

    @cached_property
    def prompt(self) -> Fine:
        """Prompt tokens a minute."""
        return _per_minute([one.prompt for one in self.replicas])

    @cached_property
    def generation(self) -> Fine:
        """Tokens generated a minute."""
        return _per_minute([one.generation for one in self.replicas])

    @cached_property
    def tokens(self) -> Fine:
        """Prompt and generated tokens a minute, where both are known."""
        return Fine(
            self.prompt.five + self.generation.five, self.prompt.minute + self.generation.minute
        )

    @cached_property
    def cached(self) -> Column:
        """Prompt tokens a minute that were found in a cache."""
        return together([one.cached for one in self.replicas]) * PER_MINUTE

    @cached_property
    def requests(self) -> Column:
        """Requests a minute, by their first tokens."""
        return together([one.requests for one in self.replicas]) * PER_MINUTE

    @cached_property
    def running(self) -> Column:
        """Mean requests in the batches together."""
        return together([one.running for one in self.replicas])

    @cached_property
    def waiting(self) -> Column:
        """Mean requests that wait, together."""
        return together([one.waiting for one in self.replicas])

    @cached_property
    def kv(self) -> Column:
        """Mean share of the KV caches in use: of the fullest replica."""
        return _highest([one.kv for one in self.replicas])

    @cached_property
    def kv_peak(self) -> Column:
        """Highest share of a KV cache in use."""
        return _highest([one.kv_peak for one in self.replicas])

    @cached_property
    def tails(self) -> Mapping[Timed, Tail]:
        """Latencies of all replicas together."""
        found: dict[Timed, Tail] = {}
        for timed in Timed:
            one = added([r.tails[timed] for r in self.replicas if timed in r.tails])
            if one is not None:
                found[timed] = one
        return found

    @cached_property
    def present(self) -> Sequence[Column]:
        """Of each replica a column that is known where it was there."""
        return [one.prompt.five + one.generation.five for one in self.replicas]

    def cells(self, fine: Fine) -> Cells:
        """Return the cells of a value, as short as they are known."""
        return cells(fine.five, self.span.five, fine.minute, self.span.minutes)

    def verdicts(self) -> dict[str, float]:
        """Return the share of the known time of all replicas for which each cause held."""
        totals: defaultdict[str, float] = defaultdict(float)
        known = 0.0
        for replica in self.replicas:
            columns = list(replica.verdicts.values())
            if not columns:
                continue
            known += float((~np.isnan(np.stack(columns)).all(axis=0)).sum())
            for cause, column in replica.verdicts.items():
                totals[cause] += float(np.nansum(column))
        return {cause: total / known for cause, total in totals.items()} if known else {}


def subjects(replicas: Sequence[Replica]) -> list[Subject]:
    """Return what is to be reported: each instance, and each model that several instances serve."""
    instances: defaultdict[tuple[str, str], list[Replica]] = defaultdict(list)
    models: defaultdict[str, list[Replica]] = defaultdict(list)
    for one in replicas:
        instances[one.key.engine, one.key.instance_name].append(one)
        models[one.key.model_name].append(one)
    found = [
        Subject(
            kind="instance",
            engine=engine,
            instance_name=name,
            model_name=_only({one.key.model_name for one in several}),
            replicas=several,
        )
        for (engine, name), several in instances.items()
    ]
    for model, several in models.items():
        if model and len({one.key[:2] for one in several}) > 1:
            engine = _only({one.key.engine for one in several})
            found.append(
                Subject(
                    kind="model", engine=engine, instance_name="", model_name=model,
                    replicas=several,
                )
            )  # fmt: skip
    return found


def _only(names: set[str]) -> str:
    """Return the one name that there is; of several, nothing."""
    return next(iter(names)) if len(names) == 1 else ""


def _per_minute(parts: Sequence[Fine]) -> Fine:
    """Return the sum of rates, each second so many, as tokens a minute."""
    return Fine(
        together([one.five for one in parts]) * PER_MINUTE,
        together([one.minute for one in parts]) * PER_MINUTE,
    )


def _highest(columns: Sequence[Column]) -> Column:
    """Return the highest of what is known; NaN where nothing is."""
    stacked = np.stack(columns)
    known = ~np.isnan(stacked)
    highest = np.where(known, stacked, -np.inf).max(axis=0, initial=-np.inf)
    return np.where(known.any(axis=0), highest, unknown(len(highest)))
