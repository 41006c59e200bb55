"""Asks a running agent what check plugins are to say."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import aiohttp

from agent.http_client import Access, unreached
from agent.look import reason
from agent.model import ConfigError, SourceError

_MOST: Final = 16 * 2**20


class NotOursError(SourceError):
    """Something answers, and not as an agent does."""


class Told(NamedTuple):
    """What an agent says: its alerts and its replicas, each as its API has them.

    `rules`: the names of the alerts that its rules may give; None where it does not say.
    """

    alerts: Sequence[Mapping[str, Any]]
    replicas: Sequence[Mapping[str, Any]]
    rules: frozenset[str] | None = None


async def ask(
    url: str,
    *,
    timeout: float,  # noqa: ASYNC109 - of the whole, not of one call
    access: Access,
    names: bool = False,
) -> Told:
    """Return what the agent at an address says.

    Args:
        url: in front of `/api/v1`.
        timeout: seconds for all of it.
        access: how it is verified, and what it is shown.
        names: ask for the names of its alerts too.

    Raises:
        ConfigError: what it is to be shown is not where it should be.
        NotOursError: it answers, and not as an agent does.
        SourceError: it does not answer in time, or says that it has no fresh numbers.
    """
    try:
        async with asyncio.timeout(timeout), await _session(access) as session:
            health, alerts, signals, rules = await asyncio.gather(
                _get(session, f"{url}/-/healthy"),
                _get(session, f"{url}/api/v1/alerts"),
                _get(session, f"{url}/api/v1/signals"),
                _get(session, f"{url}/api/v1/rules?type=alert") if names else _nothing(),
            )
    except TimeoutError:
        raise SourceError(f"{url} gave no answer within {timeout:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise SourceError(f"{url} cannot be reached: {unreached(error)}") from error
    if health[0] == HTTPStatus.UNAUTHORIZED:
        raise NotOursError(
            f"{url} wants a user and a password, others than it was shown: say --user and "
            "--password-file"
        )
    if health[0] == HTTPStatus.SERVICE_UNAVAILABLE:
        raise SourceError(f"the agent at {url} answers, but its ticks have stopped")
    try:
        return Told(
            _objects(_json(alerts)["data"]["alerts"], ("labels", "state")),
            _replicas(signals),
            _names(rules),
        )
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise NotOursError(f"{url} does not answer as an agent does: {reason(error)}") from error


async def _session(access: Access) -> aiohttp.ClientSession:
    """Return what asks."""
    try:
        tls = await access.tls_context()
    except OSError as error:
        raise ConfigError(f"the files for TLS cannot be used: {reason(error)}") from error
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls), headers=await access.credentials()
    )


def _replicas(answer: tuple[int, bytes]) -> list[Mapping[str, Any]]:
    """Return the replicas, with and without fresh numbers; raises where there is no list of them.

    None where the agent has seen no engine, or none of late: what is wrong then is an alert.
    """
    if answer[0] == HTTPStatus.SERVICE_UNAVAILABLE:
        return []
    told = _json(answer)
    keys = ("instance_name", "model_name", "rank")
    return _objects([*told["replicas"], *told["stale"]], keys)


async def _nothing() -> tuple[int, bytes]:
    """Return the answer of nobody."""
    return HTTPStatus.NOT_FOUND, b""


def _names(answer: tuple[int, bytes]) -> frozenset[str] | None:
    """Return the names of the rules; None where they are not told, as by an older agent."""
    if answer[0] != HTTPStatus.OK:
        return None
    groups = _json(answer)["data"]["groups"]
    return frozenset(str(rule["name"]) for group in groups for rule in group["rules"])


async def _get(session: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    """Return status and body of an answer."""
    async with session.get(url, allow_redirects=False) as response:
        body = bytearray()
        async for part in response.content.iter_chunked(2**16):
            body += part
            if len(body) > _MOST:
                raise NotOursError(f"{url} answers with more than {_MOST} bytes")
        return response.status, bytes(body)


def _json(answer: tuple[int, bytes]) -> Any:
    """Return what an answer holds; raises ValueError where it is another status or no JSON."""
    status, body = answer
    if status != HTTPStatus.OK:
        raise ValueError(f"status {status}")
    return json.loads(body)


def _objects(found: Any, keys: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return a list of objects that have some keys; raises where it is none."""
    if not all(key in one for one in found for key in keys):
        raise ValueError(f"a part of it lacks one of {', '.join(keys)}")
    return list(found)
