"""What no single value can say: rules between values of the configuration."""

import difflib
from collections.abc import Collection, Iterator
from dataclasses import fields
from urllib.parse import urlsplit

from agent.config.settings import EngineInstance, Settings

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_LISTEN = "exporters.http_api.listen"


def cross_checks(
    settings: Settings, engines: Collection[str], refused: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yield the key and the message of each contradiction within settings.

    Args:
        settings: with defaults in the place of what was refused.
        engines: names of the engines that the agent knows.
        refused: keys with a problem of their own; what depends on them is not judged.
    """
    yield from _stale_before_due(settings, refused)
    yield from _engines_known(settings.collectors.engines.instances, engines)
    yield from _instances(settings.collectors.engines.instances)
    if not any(key.startswith(_LISTEN) for key in refused):
        yield from _ports(settings)


def _stale_before_due(settings: Settings, refused: Collection[str]) -> Iterator[tuple[str, str]]:
    """A source whose values go stale before it is asked again would flicker."""
    for item in fields(settings.collectors):
        source = getattr(settings.collectors, item.name)
        if {f"collectors.{item.name}.{key}" for key in ("interval", "stale_after")} & {*refused}:
            continue
        if source.stale_after <= source.interval:
            yield (
                f"collectors.{item.name}.stale_after",
                f"expected over {source.interval:g}s, its interval, found {source.stale_after:g}s",
            )


def _engines_known(
    instances: tuple[EngineInstance, ...], engines: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Each instance is of an engine that the agent knows."""
    for index, instance in enumerate(instances):
        if instance.engine not in engines:
            near = difflib.get_close_matches(instance.engine, engines, n=1, cutoff=0.5)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            yield (
                f"collectors.engines.instances[{index}].engine",
                f"expected one of {', '.join(engines)}, found '{instance.engine}'{hint}",
            )


def _instances(instances: tuple[EngineInstance, ...]) -> Iterator[tuple[str, str]]:
    """Names and addresses of engines are unique, and credentials are of one kind."""
    names: set[str] = set()
    places: dict[tuple[str, str], str] = {}
    for index, instance in enumerate(instances):
        key = f"collectors.engines.instances[{index}]"
        if instance.name in names:
            yield f"{key}.name", f"'{instance.name}' is the name of another instance"
        names.add(instance.name)
        place = (instance.url, str(instance.unix_socket or ""))
        if place in places:
            yield f"{key}.url", f"{instance.url} is the address of '{places[place]}' already"
        places.setdefault(place, instance.name)
        if instance.bearer_token and instance.basic_auth:
            yield f"{key}.basic_auth", "expected either basic_auth or bearer_token, found both"
        if (instance.tls.cert_file is None) != (instance.tls.key_file is None):
            yield f"{key}.tls", "expected cert_file and key_file together"


def _ports(settings: Settings) -> Iterator[tuple[str, str]]:
    """The agent listens on each port once, and no engine is at a port of the agent."""
    listens = settings.exporters.http_api.listen
    for index, listen in enumerate(listens):
        key = f"{_LISTEN}[{index}]"
        for other in listens[:index]:
            if listen.port == other.port and _overlap(listen.host, other.host):
                yield key, f"port {listen.port} stands here twice"
                break
    own = {listen.port for listen in listens}
    for index, instance in enumerate(settings.collectors.engines.instances):
        parts = urlsplit(instance.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if instance.unix_socket is None and parts.hostname in _LOOPBACK and port in own:
            yield f"collectors.engines.instances[{index}].url", f"port {port} is the agent's own"


def _overlap(host: str, other: str) -> bool:
    """Return whether two hosts to listen on share an address: some stand for all of a family."""
    if host == other or not host or not other:
        return True
    for every, that in ((host, other), (other, host)):
        if (every == "0.0.0.0" and ":" not in that) or (every == "::" and ":" in that):
            return True
    return False
