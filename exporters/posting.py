"""One request with alerts to a server that wants JSON, and what its answer means."""

from http import HTTPStatus
from typing import Any, Final

import aiohttp

from agent.config.access import Tls
from agent.http_client import Access, unreached
from agent.lines import one_line
from agent.model import ConfigError, SourceError
from exporters.delivery import RefusedError

# These say something of the receiver or of the credentials and nothing of the alerts.
_NOT_THE_ALERTS: Final = {401, 403, 404, 405, 407, 408, 421, 425, 426, 429}
_SHOWN: Final = 300


class Poster:
    """One server. Connections are kept.

    Args:
        url: where requests go.
        called: its address as the configuration has it, for messages.
        access: how it is verified and what it is shown.
        tls: the settings of the same.
        wants: which settings hold credentials for it, for messages.
    """

    def __init__(self, url: str, *, called: str, access: Access, tls: Tls, wants: str) -> None:
        self._url = url
        self._called = called
        self._access = access
        self._tls = tls
        self._wants = wants
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: Any) -> str:
        """Make one request and return what was answered.

        Raises:
            RefusedError: these alerts are not taken.
            SourceError: it could not be told, for any other reason; the message says which.
        """
        try:
            if self._session is None:
                self._session = await self._open()
            async with self._session.post(
                self._url,
                json=body,
                headers=await self._access.credentials(),
                allow_redirects=False,
                server_hostname=self._tls.server_name,
            ) as response:
                said = (await response.content.read(_SHOWN)).decode(errors="replace")
                return self._judged(response, one_line(said))
        except (aiohttp.ClientError, OSError, ConfigError) as error:
            raise SourceError(f"telling {self._called} failed: {unreached(error)}") from error

    async def _open(self) -> aiohttp.ClientSession:
        """Return a session."""
        secure = self._url.startswith("https:")
        context = await self._access.tls_context() if secure else True
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            headers={"User-Agent": "inferwatch"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        )

    def _judged(self, response: aiohttp.ClientResponse, said: str) -> str:
        """Return an answer, or raise what it means."""
        status = response.status
        answered = f"{status} {response.reason or ''}".rstrip()
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return answered
        told = f"{response.url} answered {answered}" + (f": {said}" if said else "")
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            if status not in _NOT_THE_ALERTS:
                raise RefusedError(told)
            if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                told += f"; set {self._wants}"
        raise SourceError(told)

    async def aclose(self) -> None:
        """Close all connections; safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
