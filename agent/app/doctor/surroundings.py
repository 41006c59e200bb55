"""What the doctor says of what the agent itself needs: its folder, its address, its receivers."""

import asyncio
import errno
import os
import pwd
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from agent.app.doctor.finding import Finding, State, ok
from agent.config import Listen, Settings
from agent.config.access import Tls
from agent.config.settings import History
from agent.http_client import tls_context

_PATIENCE: Final = 3.0
_HEALTHY: Final = "healthy"
_LONGEST: Final = 200


def state_folder(history: History) -> Finding:
    """Return whether the agent can keep what it has learned."""
    topic = "state folder"
    if not history.enabled:
        return ok(topic, "not wanted: history.enabled is false in the configuration")
    folder = history.path.parent
    costs = (
        "history, incidents and what was learned do not outlast a restart; reports have nothing "
        "to report on"
    )
    there = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        _try_to_write(folder, there)
    except OSError as error:
        owner = _owner(there)
        mine = owner == _user(os.geteuid())
        return Finding(
            topic=topic,
            # Of another user's folder nothing is known but that it is not for this one.
            state=State.BROKEN if mine and there == folder else State.MISSING,
            found=f"{folder} cannot be written by {_user(os.geteuid())}: {error.strerror} "
            f"({there} belongs to {owner})",
            costs=costs,
            advice="make install makes it for the service; for a trial, set history.path to a "
            "folder of your own",
        )
    where = f"{folder} can be written" if there == folder else f"{folder} will be made"
    return ok(topic, f"{where} by {_user(os.geteuid())}")


def _try_to_write(folder: Path, there: Path) -> None:
    """Write into a folder, or see whether it could be made below one that is there.

    Raises:
        OSError: it cannot.
    """
    if folder != there:
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return
    # A full or read-only disk lets itself be asked for its rights all the same.
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(4096))


def _owner(path: Path) -> str:
    """Return whose a folder is."""
    return _user(path.stat().st_uid)


def _user(number: int) -> str:
    """Return the name of a user."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


async def address(listen: Listen) -> Finding:
    """Return who answers at an address of the agent, or whether it is free."""
    topic = f"address {listen}"
    where = urlsplit(listen.url)
    for scheme in ("http", "https"):
        try:
            status, said = await _asked(f"{scheme}://{where.netloc}/-/healthy")
        except (aiohttp.ClientError, OSError):  # a time that is up is one of the latter
            continue
        return _answered(topic, f"{scheme}://{where.netloc}", status, said)
    return await _bindable(topic, listen)


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


async def _bindable(topic: str, listen: Listen) -> Finding:
    """Return whether the agent could listen at an address."""
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            asyncio.Protocol, listen.host or None, listen.port, start_serving=False
        )
    except (OSError, UnicodeError) as error:
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


async def receivers(settings: Settings) -> AsyncIterator[Finding]:
    """Yield whether each receiver of alerts can be reached; none is told anything."""
    told = settings.exporters
    groups = (
        ("Alertmanager", told.alertmanager.receivers),
        ("Keep", told.keep.receivers),
        ("webhook", told.webhook.receivers),
    )
    if not any(found for _kind, found in groups):
        yield Finding(
            topic="receivers of alerts",
            state=State.MISSING,
            found="none is configured",
            costs="alerts are on the page and in the metrics, and nobody is told",
            advice="exporters.alertmanager.receivers, exporters.keep or exporters.webhook; "
            "docs/alerting.md",
        )
    for kind, found in groups:
        for one in found:
            yield await _reached(f"{kind} {one.name}", one.url, one.tls, one.timeout)


async def _reached(topic: str, url: str, tls: Tls, patience: float) -> Finding:
    """Return whether a server takes a connection."""
    where = urlsplit(url)
    secure = where.scheme == "https"
    try:
        context = tls_context(tls) if secure else None
        async with asyncio.timeout(min(patience, _PATIENCE)):
            _reader, writer = await asyncio.open_connection(
                where.hostname,
                where.port or (443 if secure else 80),
                ssl=context,
                server_hostname=(tls.server_name or where.hostname) if secure else None,
            )
        writer.close()
    except (OSError, ssl.SSLError, socket.gaierror, ValueError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        return Finding(
            topic=topic,
            state=State.BROKEN,
            found=f"{where.hostname} cannot be reached: {why}",
            costs="it is not told of alerts; what is not delivered waits",
            advice="see whether it runs and whether its url is right",
        )
    found = (
        f"{where.hostname} takes connections; inferwatch test-alert says whether it takes alerts"
    )
    return ok(topic, found)
