"""What is known of an engine beside its measurements: model, version, sizes and limits."""

import asyncio
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from agent.catalog import engine as catalog
from agent.model import Clock, Metric, SeriesTable, SourceError
from collectors.engines.bounded import bounded
from collectors.engines.profile import Endpoint, Engine, Fact
from collectors.http import Documents, GoneError

REFRESH_INTERVAL: Final = 300.0
"""Seconds after which facts are read again."""

SLOW_INTERVAL: Final = 900.0
"""Seconds after which a document that kept a look waiting is asked for again.

The look is lost if it does so again; if it was slow once, what it says was missed for so long.
"""

_LIMITS: Final[Mapping[Fact, Metric]] = {
    Fact.MAX_NUM_SEQS: catalog.MAX_NUM_SEQS,
    Fact.MAX_NUM_BATCHED_TOKENS: catalog.MAX_NUM_BATCHED_TOKENS,
    Fact.MAX_MODEL_LEN: catalog.MAX_MODEL_LEN,
}

# After the labels that name the instance.
_INFO_FACTS: Final = tuple(Fact(name) for name in catalog.INFO.labels[2:])


class Facts:
    """The facts of one instance, read now and then from its endpoints.

    What a running engine answers wins over what its page says, and that over its command line.
    """

    def __init__(self, engine: Engine, client: Documents, clock: Clock) -> None:
        self._engine = engine
        self._client = client
        self._clock = clock
        self._due = float("-inf")
        self._gone: dict[str, float] = {}
        self._answered: dict[str, dict[Fact, str]] = {}

    def forget(self) -> None:
        """Ask everything again at the next occasion: the engine was restarted."""
        self._gone.clear()
        self._due = float("-inf")

    async def refresh(self) -> None:
        """Ask the endpoints if it is time; what cannot be had stays as it was, or unknown."""
        now = self._clock.monotonic()
        if now < self._due:
            return
        self._due = now + REFRESH_INTERVAL
        for endpoint in self._engine.endpoints:
            await self._ask(endpoint)

    async def document(self, path: str) -> Any:
        """Return a JSON document, or None where the engine has none or does not give it now.

        One that is not there is not asked for again until the engine is restarted, one that kept
        us waiting until we were stopped not for a while.
        """
        now = self._clock.monotonic()
        if now < self._gone.get(path, -math.inf):
            return None
        self._gone.pop(path, None)
        try:
            return await self._client.get_json(path)
        except GoneError:
            self._gone[path] = math.inf
        except SourceError:
            pass
        except asyncio.CancelledError:
            self._gone[path] = now + SLOW_INTERVAL
            raise
        return None

    def known(self, page: Mapping[Fact, str], process: Mapping[Fact, str]) -> dict[Fact, str]:
        """Return all facts, with those that the page and the command line hold."""
        known = {**process, **page}
        for answered in self._answered.values():
            known.update(answered)
        return {fact: bounded(value) for fact, value in known.items()}

    async def _ask(self, endpoint: Endpoint) -> None:
        """Read the facts of one endpoint."""
        document = await self.document(endpoint.path)
        if document is not None:
            self._answered[endpoint.path] = {
                fact: str(value)
                for fact, steps in endpoint.facts.items()
                if (value := _at(document, steps)) not in (None, "")
            }
        elif self._gone.get(endpoint.path) == math.inf:
            self._answered.pop(endpoint.path, None)


def fact_samples(
    known: Mapping[Fact, str], labels: tuple[str, str], table: SeriesTable
) -> Iterator[tuple[int, float]]:
    """Yield the info series and the limits that are known."""
    facts = [known.get(fact, "") for fact in _INFO_FACTS]
    if any(facts):
        yield table.intern(catalog.INFO, (*labels, *facts)), 1.0
    for fact, metric in _LIMITS.items():
        if known.get(fact, "").isdecimal():
            yield table.intern(metric, labels), float(known[fact])


def _at(document: Any, steps: tuple[str | int, ...]) -> Any:
    """Return what stands in a document at keys and indexes, or None; only single values count."""
    for step in steps:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return None
    return document if isinstance(document, str | int | float) else None
