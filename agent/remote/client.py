"""One server that speaks the Prometheus HTTP API: requests out, JSON in."""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp

from agent.config.access import Tls
from agent.http_client import Access, unreached
from agent.model import ConfigError, SourceError
from agent.remote.errors import printable, refusal

MOST: Final = 64 * 2**20
"""Bytes of an answer, unpacked; more is refused."""

WARNINGS: Final = 10
"""Different warnings of a server that are kept; the first of many say enough."""

_NOTHING: Final[Mapping[str, str]] = {}
_ABOUT_THE_QUERY: Final = "PromQL info"  # Prometheus before 3.0 has its notes among the warnings


class Client:
    """Asks one server. Belongs to one event loop.

    Args:
        url: in front of `/api/v1`, such as `http://prometheus:9090` or `https://mimir/prometheus`.
        access: credentials, and how it is verified.
        tls: for the name under which it is verified.
        headers: sent with every request, such as `X-Scope-OrgID`.
        timeout: seconds for one request with its answer.
        most: bytes of an answer.

    Attributes:
        warnings: what it said of answers that are not whole, each once.
    """

    def __init__(
        self,
        url: str,
        access: Access,
        *,
        tls: Tls | None = None,
        headers: Mapping[str, str] = _NOTHING,
        timeout: float,
        most: int = MOST,
    ) -> None:
        self.url = url.rstrip("/")
        self._access = access
        self._server_name = None if tls is None else tls.server_name
        self._headers = dict(headers)
        self._timeout = timeout
        self._most = most
        self._session: aiohttp.ClientSession | None = None
        self.warnings: list[str] = []

    async def ask(self, path: str, form: Mapping[str, str]) -> Any:
        """Return the `data` of an answer.

        Args:
            path: after `/api/v1/`.
            form: the parameters.

        Raises:
            PromqlError: the query is wrong, or has no answer.
            SourceError: it does not answer, or not with what was asked for.
        """
        url = f"{self.url}/api/v1/{path}"
        try:
            async with asyncio.timeout(self._timeout):
                body = await self._post(url, form)
        except TimeoutError:
            raise SourceError(f"{url}: no answer within {self._timeout:g} s") from None
        except (aiohttp.ClientError, ConfigError, OSError) as error:
            raise SourceError(f"{url}: {unreached(error)}") from error
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            said = printable(body[:400].decode("utf-8", "replace"))
            raise SourceError(
                f"{url}: its answer is no JSON, so it is no Prometheus API: {said!r}"
            ) from None
        if not isinstance(answer, dict) or answer.get("status") != "success":
            raise SourceError(f"{url}: its answer is none of the Prometheus API")
        self._warned(answer)
        return answer.get("data")

    def missing(self) -> list[str]:
        """Return in sentences what was said since `warnings` was last emptied."""
        return [f"the server did not answer in full: {one}" for one in self.warnings]

    def _warned(self, answer: Mapping[str, Any]) -> None:
        """Keep what a server says beside an answer, such as Thanos of a store that is down.

        VictoriaMetrics as a cluster sets a flag instead. `infos` are about the query.
        """
        warnings = answer.get("warnings")
        told = (
            [one for one in warnings if isinstance(one, str)] if isinstance(warnings, list) else []
        )
        if answer.get("isPartial") is True:
            told.append("isPartial: some of what it asks did not answer")
        for said in (printable(one) for one in told if not one.startswith(_ABOUT_THE_QUERY)):
            if said not in self.warnings and len(self.warnings) < WARNINGS:
                self.warnings.append(said)

    async def aclose(self) -> None:
        """Let go of the connection; safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __aenter__(self) -> Self:
        """Return this."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Let go of the connection."""
        await self.aclose()

    async def _post(self, url: str, form: Mapping[str, str]) -> bytes:
        """Return the body of an answer that is one."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=await self._access.tls_context())
            self._session = aiohttp.ClientSession(connector=connector)
        async with self._session.post(
            url,
            data=form,
            headers={**self._headers, **await self._access.credentials()},
            allow_redirects=False,  # they would take the credentials with them
            server_hostname=self._server_name,
            timeout=aiohttp.ClientTimeout(),
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > self._most:
                    raise SourceError(
                        f"{url}: it answered more than {self._most >> 20} MiB: ask for a shorter "
                        "time or for less"
                    )
            if response.status != HTTPStatus.OK:
                where = printable(response.headers.get("Location", ""))
                raise refusal(url, response.status, bytes(body), location=where)
            return bytes(body)
