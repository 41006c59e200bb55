"""What the doctor says of the addresses of the agent, and of what is asked of those who come."""

import asyncio
import errno
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from agent.app.access import read_all
from agent.app.doctor.finding import Finding, State, ok
from agent.config import Listen
from agent.config.web import ClientAuth, WebConfig
from agent.model import ConfigError

_PATIENCE: Final = 3.0
_HEALTHY: Final = "healthy"
_LONGEST: Final = 200
# Every address of the host is asked at loopback, by number: not every host has a name for it.
_LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def web_configuration(path: Path) -> tuple[Finding, bool]:
    """Return whether the web configuration can be used, certificates and keys included; blocks.

    Besides, whether it takes nobody without a certificate.
    """
    topic = "web configuration"
    try:
        config = read_all(path).config
    except ConfigError as error:
        broken = Finding(
            topic=topic,
            state=State.BROKEN,
            found=str(error),
            costs="an agent does not start with it, and one that runs keeps what it read before",
            advice="correct the file, or who may read it; docs/security.md, Keys and the service",
        )
        return broken, False
    asked = ", ".join(_asks(config)) or "it asks nothing of anybody"
    certificates = config.tls_server_config.client_auth_type is ClientAuth.VERIFY
    return ok(topic, f"{path} is good: {asked}"), certificates


def _asks(config: WebConfig) -> list[str]:
    """Return what a web configuration asks of those who come, in words."""
    tls, users = config.tls_server_config, len(config.basic_auth_users)
    found = ["TLS"] if tls.enabled else []
    if tls.client_auth_type is not ClientAuth.NONE:
        found.append(f"certificates of clients ({tls.client_auth_type})")
    if users:
        found.append(f"a password ({users} user{'s' if users > 1 else ''})")
    if config.rate_limit.interval:
        found.append("a rate")
    return found


async def address(listen: Listen, *, certificates: bool = False) -> Finding:
    """Return who answers at an address of the agent, or whether it is free.

    Args:
        listen: the address.
        certificates: the web configuration takes nobody without one, and the doctor has none.
    """
    topic = f"address {listen}"
    where = urlsplit(listen.url)
    asked = Listen(_LOOPBACK.get(listen.host, listen.host), listen.port)
    for scheme in ("http", "https"):
        try:
            status, said = await _asked(f"{scheme}://{asked}/-/healthy")
        except (aiohttp.ClientError, OSError):  # a time that is up is one of the latter
            continue
        return _answered(topic, f"{scheme}://{where.netloc}", status, said)
    return await _bindable(topic, listen, certificates=certificates)


async def _asked(url: str) -> tuple[int, str]:
    """Return status and words of an answer; who it is does not matter, so nothing is verified."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PATIENCE)) as session,
        session.get(url, ssl=False, allow_redirects=False) as response,
    ):
        said = await response.content.read(_LONGEST)
        return response.status, said.decode("utf-8", "replace").strip()


def _answered(topic: str, url: str, status: int, said: str) -> Finding:
    """Return what an answer means."""
    if (status, said) == (HTTPStatus.OK, _HEALTHY):
        return ok(topic, f"an agent runs and is healthy; its page for people: {url}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return ok(topic, f"{url} answers and wants credentials; its health was not asked")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Finding(
            topic=topic,
            state=State.BROKEN,
            found=f"an agent answers at {url} and is not well: {said}",
            costs="numbers of now; alerts do not fire",
            advice="journalctl -u inferwatch says why",
        )
    return Finding(
        topic=topic,
        state=State.BROKEN,
        found=f"another program answers at {url} (status {status})",
        costs="the agent cannot listen there and does not start",
        advice="choose another address: exporters.http_api.listen, or --listen",
    )


async def _bindable(topic: str, listen: Listen, *, certificates: bool) -> Finding:
    """Return whether the agent could listen at an address where nobody answers."""
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            asyncio.Protocol, listen.host or None, listen.port, start_serving=False
        )
    except (OSError, UnicodeError) as error:
        if certificates and getattr(error, "errno", None) == errno.EADDRINUSE:
            return ok(
                topic,
                "taken by somebody who hangs up on those without a certificate, as the web "
                "configuration wants it; its health was not asked: systemctl status inferwatch",
            )
        return Finding(
            topic=topic,
            state=State.BROKEN,
            found=f"it cannot be had: {getattr(error, 'strerror', None) or error}; nobody there "
            "answers a question about health",
            costs="an agent does not start there",
            advice="nothing, where an agent listens that wants a certificate of its clients; else "
            "choose another address: exporters.http_api.listen, or --listen",
        )
    server.close()
    await server.wait_closed()
    return Finding(
        topic=topic,
        state=State.MISSING,
        found="nobody answers, and the agent could listen there",
        costs="nothing is watched until an agent runs",
        advice="inferwatch run, make run, or systemctl start inferwatch",
    )
