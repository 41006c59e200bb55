"""Which requests pass, and which may change something."""

import asyncio
import logging
import socket
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from agent.config.values import is_loopback, names_this_host
from exporters.access.guard import Guard
from exporters.access.passwords import Login

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="inferwatch", charset="UTF-8"'}
_LATER: Final = {"Retry-After": "1"}
# Browsers say one of them with each POST, and nothing else does.
_OF_BROWSERS: Final = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode")
# Bytes of an address; of the longest query (65,536 characters) each may be escaped as three.
_LONGEST_LINE: Final = 200 * 1024
_OF_PROXIES: Final = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")


def middleware(guard: Guard) -> Middleware:
    """Return what has every request, to whatever path, judged before it is looked at."""

    @web.middleware
    async def judged(request: web.Request, handler: Handler) -> web.StreamResponse:
        await guard.refresh()
        if not guard.has_token():
            return _refused(HTTPStatus.TOO_MANY_REQUESTS, _LATER)
        shown = request.headers.get("Authorization", "")
        login = await guard.check(shown, who=request.remote or "")
        if login is Login.BUSY:
            return _refused(HTTPStatus.TOO_MANY_REQUESTS, _LATER)
        if login is Login.WRONG:
            return _refused(HTTPStatus.UNAUTHORIZED, _CHALLENGE)
        return await handler(request)

    return judged


def _refused(status: HTTPStatus, headers: dict[str, str]) -> web.Response:
    """Answer no, and nothing else."""
    return web.Response(status=status, text=f"{status.phrase}\n", headers=headers)


class ReticentHandler(web.RequestHandler):
    """Serves a connection, and names no versions to those whose requests make no sense either."""

    def __init__(self, server: web.Server, *, loop: asyncio.AbstractEventLoop) -> None:
        nobody = cast(logging.Logger, None)  # as the framework's runner says that there is no log
        super().__init__(server, loop=loop, access_log=nobody, max_line_size=_LONGEST_LINE)

    def retire(self) -> None:
        """End the connection once the request under way is answered, if there is one."""
        self.close()
        # An idle one would be left open, and never be read again.
        if self._current_request is None:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read: no application has seen it."""
        response = super().handle_error(request, status, exc, message)
        response.headers["Server"] = "http"  # without any, the framework's version is sent
        return response


def changes_allowed(request: web.Request, guard: Guard) -> bool:
    """Return whether a request may change what the agent does.

    It has shown a password or a certificate, or it comes from this host and by all that can be seen
    from nowhere else. One that a web page had a browser send never may: the browser would show the
    password for it.
    """
    if any(name in request.headers for name in _OF_BROWSERS):
        return False
    transport = request.transport
    if guard.has_users or (transport is not None and transport.get_extra_info("peercert")):
        return True
    if any(name in request.headers for name in _OF_PROXIES):
        return False
    return is_loopback(request.remote) and _is_own(request.headers.get("Host", ""))


def _is_own(host: str) -> bool:
    """Return whether a request was meant for this host by its name: a proxy may show another."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return False
    own = socket.gethostname().lower()
    return names_this_host(name) or bool(own and name.partition(".")[0] == own.partition(".")[0])
