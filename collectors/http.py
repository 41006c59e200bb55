"""One server over HTTP: TCP or a Unix socket, with or without TLS and credentials.

There are no time limits here: whoever asks may give up at any moment, and the connection is
closed with the request.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urljoin, urlsplit

import aiohttp

from agent.config import Secret
from agent.config.access import BasicAuth, Tls
from agent.http_client import Access, unreached
from agent.lines import one_line
from agent.model import ConfigError, SourceError
from collectors.direct import DirectClient

# With an OpenMetrics header prometheus_client 0.26 renames vLLM's samples; compressing a page
# costs the server more than sending it.
_HEADERS: Final = {
    "Accept": "text/plain;version=0.0.4",
    "Accept-Encoding": "identity",
    "User-Agent": "inferwatch",
}
_READ_BUFFER: Final = 1 << 18


class GoneError(SourceError):
    """The server has no such document, and will not have it until it is started otherwise."""


class Answer(NamedTuple):
    """A whole body and its headers, their names in lower case."""

    body: bytes
    headers: Mapping[str, str]


class Documents(Protocol):
    """Whoever gives the documents of one server."""

    async def get(self, path: str) -> Answer:
        """Return the document at a path; errors as for `HttpClient.get`."""
        ...

    async def get_json(self, path: str) -> Any:
        """Return a JSON document; errors likewise."""
        ...

    async def aclose(self) -> None:
        """Let go of the server; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server is, and who asks.

    Attributes:
        url: base address, without a slash at its end.
        unix_socket: connect here instead of the host in `url`.
        bearer_token: sent with each request, if given.
        basic_auth: likewise; one of the two at most.
        tls: how an `https` address is verified.
    """

    url: str
    unix_socket: Path | None = None
    bearer_token: Secret | None = None
    basic_auth: BasicAuth | None = None
    tls: Tls = field(default_factory=Tls)


class HttpClient:
    """Asks one server. Connections are kept and opened again as needed.

    Args:
        address: where it is.
        max_size: bytes that an answer may have, after decompression.
        size_hint: what to do about a longer one, for the message.
    """

    def __init__(self, address: Address, *, max_size: int, size_hint: str) -> None:
        self._address = address
        self._access = Access(
            bearer_token=address.bearer_token, basic_auth=address.basic_auth, tls=address.tls
        )
        self._max_size = max_size
        self._size_hint = size_hint
        self._session: aiohttp.ClientSession | None = None
        self._direct: DirectClient | None = None
        if _is_plain(address):
            self._direct = DirectClient(
                address.url, unix_socket=address.unix_socket, headers=_HEADERS, max_size=max_size
            )

    @property
    def place(self) -> str:
        """Where the server is, for people."""
        if self._address.unix_socket is not None:
            return f"unix:{self._address.unix_socket}"
        return self._address.url

    async def get(self, path: str) -> Answer:
        """Return the document at a path below the base address.

        Raises:
            GoneError: it answered 404, 405 or 501.
            SourceError: no whole document came, for any other reason; the message says which.
        """
        if self._direct is not None:
            direct = await self._direct.get(path)
            if direct is not None:
                return Answer(*direct)
        try:
            try:
                return await self._ask(path)
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # The server closed a kept connection just as it was used: llama.cpp does so
                # after streams. One that closes a fresh one as well is broken.
                return await self._ask(path)
        except aiohttp.ClientConnectorCertificateError as error:
            raise SourceError(
                f"the certificate of {self.place} is not trusted: "
                f"{error.certificate_error}; set tls.ca_file"
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise SourceError(f"cannot connect to {self.place}: {unreached(error)}") from error
        except aiohttp.ClientPayloadError as error:
            raise SourceError(f"the answer to {path} was cut off") from error
        except (aiohttp.ClientError, OSError, ConfigError) as error:
            reason = _unspoken(error, self._address.url)
            raise SourceError(f"asking {self.place} for {path} failed: {reason}") from error

    async def get_json(self, path: str) -> Any:
        """Return a JSON document; errors as for `get`."""
        answer = await self.get(path)
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise GoneError(f"the answer to {path} is not JSON") from error

    async def aclose(self) -> None:
        """Close all connections; safe to call twice."""
        if self._direct is not None:
            await self._direct.aclose()
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _ask(self, path: str) -> Answer:
        """Ask once."""
        if self._session is None:
            self._session = await self._open()
        session = self._session
        async with session.get(
            self._address.url + path,
            headers=await self._access.credentials(),
            allow_redirects=False,
            server_hostname=self._address.tls.server_name,
        ) as response:
            if response.status != HTTPStatus.OK:
                raise _refusal(response, path, base=self._address.url)
            if self._direct is not None:
                self._direct.learn(path, is_simple=_is_simple(response))
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(await self._body(response, path), headers)

    async def _body(self, response: aiohttp.ClientResponse, path: str) -> bytes:
        """Return the whole body, or raise as soon as it is known to be too long."""
        size = response.content_length or 0
        parts: list[bytes] = []
        if size <= self._max_size:
            size = 0
            async for part in response.content.iter_any():
                size += len(part)
                if size > self._max_size:
                    break
                parts.append(part)
        if size > self._max_size:
            response.close()
            raise SourceError(
                f"the answer to {path} is longer than {self._max_size} bytes; {self._size_hint}"
            )
        return b"".join(parts)

    async def _open(self) -> aiohttp.ClientSession:
        """Return a session for the address."""
        connector: aiohttp.BaseConnector
        if self._address.unix_socket is not None:
            connector = aiohttp.UnixConnector(path=str(self._address.unix_socket))
        elif self._address.url.startswith("https:"):
            connector = aiohttp.TCPConnector(ssl=await self._access.tls_context())
        else:
            connector = aiohttp.TCPConnector()
        return aiohttp.ClientSession(
            connector=connector,
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            read_bufsize=_READ_BUFFER,
        )


def _is_plain(address: Address) -> bool:
    """Return whether requests need neither TLS nor credentials."""
    return (
        address.url.startswith("http:")
        and "@" not in address.url
        and address.bearer_token is None
        and address.basic_auth is None
    )


def _is_simple(response: aiohttp.ClientResponse) -> bool:
    """Return whether an answer is of the kind that `collectors.direct` reads."""
    return response.content_length is not None and not (
        {"Content-Encoding", "Transfer-Encoding"} & response.headers.keys()
    )


def _unspoken(error: Exception, url: str) -> str:
    """Return why there was no answer, or none in HTTP, in one line."""
    said = error.message if isinstance(error, aiohttp.ClientResponseError) else unreached(error)
    # A server with TLS says nothing to those who speak without, or a few bytes of its own.
    silent = isinstance(error, aiohttp.ServerDisconnectedError) or said.startswith("Bad status")
    doubt = "; does it speak https?" if silent and url.startswith("http:") else ""
    return one_line(said) + doubt


def _refusal(response: aiohttp.ClientResponse, path: str, *, base: str) -> SourceError:
    """Return what an answer other than 200 for a path below a base address means."""
    status = response.status
    before = urlsplit(base).path
    answered = f"{before}{path} was answered with {status} {response.reason or ''}".rstrip()
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
        return GoneError(f"{answered}; url ends in {before}" if before else answered)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return SourceError(f"{answered}: it wants credentials; set bearer_token or basic_auth")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return SourceError(f"{answered}: {_elsewhere(response, path, base=base)}")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return SourceError(f"{answered}: it is still loading, or overloaded")
    return SourceError(answered)


def _elsewhere(response: aiohttp.ClientResponse, path: str, *, base: str) -> str:
    """Say which address to configure instead of one that redirects; redirects are not followed."""
    target = response.headers.get("Location", "")
    parts = urlsplit(urljoin(str(response.url), target)) if target else None
    if parts is None or parts.hostname is None:
        return "set url to the address that it redirects to"
    port = "" if parts.port is None else f":{parts.port}"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    below = parts.path.rstrip("/").removesuffix(path).rstrip("/")
    found = f"{parts.scheme}://{host}{port}{below}"
    if found == base:  # such as for a slash at the end
        return (
            f"it redirects to {parts.path}, which is not followed; have it answer at {path} itself"
        )
    return f"it redirects; set url to {found}"
