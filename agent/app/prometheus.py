"""Asks a Prometheus, or what speaks its language, for what all hosts say of their replicas."""

import asyncio
import json
import math
from typing import Any, Final

import aiohttp

from agent.analysis.signals.models import FIELDS, OWN, Labels, Replica, Sample
from agent.catalog import engine
from agent.config.settings import Scaler
from agent.http_client import Access
from agent.look import reason
from agent.model import ConfigError, SourceError

_MOST: Final = 32 * 2**20
_NAMES: Final = "|".join(sorted({metric for metric, _labels in FIELDS.values()}))

SELECTOR: Final = f'{{__name__=~"{_NAMES}",phase=~"total|",bound=~"low|",quantity=~"queue|"}}'
"""All series that `FIELDS` names."""

TIMES: Final = f"timestamp({engine.REQUESTS_RUNNING.name})"
"""When each replica was scraped last: of an instant query the values have the time of now."""


class Prometheus:
    """One server.

    Args:
        url: of its web interface.
        settings: credentials, and how long an answer may take.
    """

    def __init__(self, url: str, settings: Scaler) -> None:
        self._url = url.rstrip("/")
        self._timeout = settings.timeout
        self._access = Access(
            bearer_token=settings.bearer_token, basic_auth=settings.basic_auth, tls=settings.tls
        )
        self._session: aiohttp.ClientSession | None = None

    async def samples(self) -> list[Sample]:
        """Return the newest sample of each series, with the time at which it was scraped.

        Raises:
            SourceError: it does not answer, or not with what was asked for.
        """
        try:
            async with asyncio.timeout(self._timeout):
                answers = [await self._ask(query) for query in (SELECTOR, TIMES)]
        except TimeoutError:
            raise SourceError(f"{self._url} did not answer within {self._timeout:g} s") from None
        except (aiohttp.ClientError, ConfigError, OSError, ValueError) as error:
            raise SourceError(f"{self._url}: {reason(error)}") from error
        values, times = (_vector(answer, self._url) for answer in answers)
        seen = {_replica(labels): time for labels, time in times}
        return [
            Sample(labels, value, seen[_replica(labels)])
            for labels, value in values
            if _replica(labels) in seen
        ]

    async def aclose(self) -> None:
        """Let go of the connection; safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(self, query: str) -> Any:
        """Return the answer to a query, as JSON."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=await self._access.tls_context())
            self._session = aiohttp.ClientSession(connector=connector)
        async with self._session.post(
            f"{self._url}/api/v1/query",
            data={"query": query},
            headers=await self._access.credentials(),
            allow_redirects=False,
        ) as response:
            body = await response.content.read(_MOST)
            if not response.content.at_eof():
                raise ValueError(f"it answered more than {_MOST >> 20} MiB")
            if response.status != 200:  # noqa: PLR2004 - of HTTP
                raise ValueError(f"it answered {response.status}: {body[:200]!r}")
            return json.loads(body)


def _replica(labels: Labels) -> Replica:
    """Return by what a replica is known, whatever the metric."""
    return tuple(sorted(one for one in labels.items() if one[0] not in OWN))


def _vector(answer: Any, url: str) -> list[tuple[Labels, float]]:
    """Return labels and value of each series of an answer that is a number.

    Raises:
        SourceError: it makes no sense.
    """
    try:
        if answer["status"] != "success" or answer["data"]["resultType"] != "vector":
            raise SourceError(f"{url}: it did not answer with a vector")
        found = [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]
    except (LookupError, TypeError, ValueError) as error:
        raise SourceError(f"{url}: its answer makes no sense: {error}") from error
    return [(labels, value) for labels, value in found if math.isfinite(value)]
