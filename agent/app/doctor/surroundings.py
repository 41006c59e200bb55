"""What the doctor says of what the agent itself needs: its folder and its receivers of alerts."""

import asyncio
import errno
import os
import pwd
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agent.app.doctor.finding import Finding, State, ok
from agent.config import Settings
from agent.config.access import Tls
from agent.config.settings import History
from agent.http_client import tls_context
from agent.store.database import HistoryError, NoHistoryError, open_for_reading

_PATIENCE: Final = 3.0


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
    there = next(one for one in (folder, *folder.parents) if _is_seen(one))
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
    try:
        connection, _lasting = open_for_reading(history.path)
    except NoHistoryError:
        pass
    except HistoryError as error:
        return Finding(
            topic=topic,
            state=State.BROKEN,
            found=str(error),
            costs=costs,
            advice="set history.path to a file of its own; the agent moves aside a damaged one",
        )
    else:
        connection.close()
    where = f"{folder} can be written" if there == folder else f"{folder} will be made"
    return ok(topic, f"{where} by {_user(os.geteuid())}")


def _try_to_write(folder: Path, there: Path) -> None:
    """Write into a folder, or see whether it could be made below one that is there.

    Raises:
        OSError: it cannot.
    """
    if folder != there:
        if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return
    # A full or read-only disk lets itself be asked for its rights all the same.
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(4096))


def _is_seen(path: Path) -> bool:
    """Return whether there is something, as far as this user may know."""
    try:
        return path.exists()
    except PermissionError:
        return False


def _owner(path: Path) -> str:
    """Return whose a folder is."""
    return _user(path.stat().st_uid)


def _user(number: int) -> str:
    """Return the name of a user."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


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
