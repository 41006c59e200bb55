"""Asks a Prometheus, or what speaks its language, for what all hosts say of their replicas."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.analysis.signals.models import FIELDS, OWN, Labels, Replica, Sample
from agent.catalog import engine
from agent.config.settings import Scaler
from agent.http_client import Access
from agent.model import SourceError
from agent.promql.errors import PromqlError
from agent.promql.values import Vector
from agent.remote import Client
from agent.remote.values import value_of

_MOST: Final = 32 * 2**20
_NAMES: Final = "|".join(sorted({metric for metric, _labels in FIELDS.values()}))

SELECTOR: Final = f'{{__name__=~"{_NAMES}",phase=~"total|",bound=~"low|",quantity=~"queue|"}}'
"""All series that `FIELDS` names."""

TIMES: Final = f"timestamp({engine.REQUESTS_RUNNING.name})"
"""When each replica was scraped last: of an instant query the values have the time of now."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server knows of the replicas.

    Attributes:
        samples: the newest of each series, with the time at which it was scraped.
        missing: sentences; of answers that are whole there is none.
    """

    samples: Sequence[Sample]
    missing: Sequence[str]


class Prometheus:
    """One server.

    Args:
        url: of its web interface.
        settings: credentials, tenant, and how long an answer may take.
    """

    def __init__(self, url: str, settings: Scaler) -> None:
        access = Access(
            bearer_token=settings.bearer_token, basic_auth=settings.basic_auth, tls=settings.tls
        )
        self._client = Client(
            url,
            access,
            tls=settings.tls,
            headers=settings.headers,
            timeout=settings.timeout,
            most=_MOST,
        )

    async def samples(self) -> Seen:
        """Return what it knows.

        Raises:
            SourceError: it does not answer, or not with what was asked for.
        """
        self._client.warnings.clear()
        values = [one for one in await self._vector(SELECTOR) if math.isfinite(one[1])]
        seen = {_replica(labels): time for labels, time in await self._vector(TIMES)}
        samples = [
            Sample(labels, value, seen[_replica(labels)])
            for labels, value in values
            if _replica(labels) in seen
        ]
        return Seen(samples, self._client.missing())

    async def aclose(self) -> None:
        """Let go of the connection; safe to call twice."""
        await self._client.aclose()

    async def _vector(self, query: str) -> list[tuple[Labels, float]]:
        """Return labels and value of each series of an answer."""
        try:
            data: Any = await self._client.ask("query", {"query": query})
            found = value_of(data, self._client.url)
        except PromqlError as error:
            raise SourceError(str(error)) from error
        if not isinstance(found, Vector):
            raise SourceError(f"{self._client.url}: it did not answer with a vector")
        return [(dict(labels), value) for labels, value in found]


def _replica(labels: Labels) -> Replica:
    """Return by what a replica is known, whatever the metric."""
    return tuple(sorted(one for one in labels.items() if one[0] not in OWN))
