"""What no single value can say: rules between values of the configuration."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from agent.config.access import Tls
from agent.config.fleet import Fleet
from agent.config.planning import Declared, EngineLimits
from agent.config.receivers import AlertReceiver, KeepReceiver, WebhookReceiver
from agent.config.settings import (
    AlertSeverity,
    EngineInstance,
    Engines,
    Exporters,
    ModelTargets,
    Scaler,
    Settings,
)
from agent.config.values import names_this_host

_LISTEN = "exporters.http_api.listen"


def cross_checks(settings: Settings, refused: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield the key and the message of each contradiction within settings.

    Args:
        settings: with defaults in the place of what was refused.
        refused: keys with a problem of their own; what depends on them is not judged.
    """
    yield from _stale_before_due(settings, refused)
    yield from _instances(settings.collectors.engines.instances)
    yield from _gpus(settings.collectors.engines)
    yield from _receivers(settings.exporters)
    yield from _models(settings.targets.models)
    yield from _severities(settings.alerts.severity)
    yield from _told_once("capacity.declared", settings.capacity.declared, anybody=False)
    yield from _told_once("capacity.limits", settings.capacity.limits, anybody=True)
    yield from _scaler(settings.scaler)
    yield from _credentials(settings.fleet, "fleet")
    told = settings.signals
    if told.scale_in >= (1.0 - told.hysteresis) * told.scale_out:
        yield "signals.scale_in", "expected below signals.scale_out, by hysteresis at least"
    if settings.cost.monthly_budget and not (settings.cost.gpu_hour or settings.cost.gpus):
        yield "cost.monthly_budget", "expected a price of GPUs with it: cost.gpu_hour or cost.gpus"
    if not any(key.startswith(_LISTEN) for key in refused):
        yield from _ports(settings)


def _stale_before_due(settings: Settings, refused: Collection[str]) -> Iterator[tuple[str, str]]:
    """A source whose values go stale before it is asked again would flicker, or never be seen."""
    tick = 0.0 if "tick.interval" in refused else settings.tick.interval
    for item in fields(settings.collectors):
        key = f"collectors.{item.name}"
        source = getattr(settings.collectors, item.name)
        if {f"{key}.interval", f"{key}.stale_after"} & {*refused}:
            continue
        found = f"found {source.stale_after:g}s"
        if source.stale_after <= source.interval:
            yield f"{key}.stale_after", f"expected over {source.interval:g}s, its interval, {found}"
        elif source.enabled and source.stale_after <= tick and f"{key}.enabled" not in refused:
            yield f"{key}.stale_after", f"expected over {tick:g}s, the interval of ticks, {found}"


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
        yield from _credentials(instance, key)


def _gpus(engines: Engines) -> Iterator[tuple[str, str]]:
    """The GPUs of an instance stand in one place."""
    for instance in engines.instances:
        if instance.gpus and instance.name in engines.gpus:
            key = f"collectors.engines.gpus.{instance.name}"
            yield key, f"the instance '{instance.name}' names its GPUs itself"


def _receivers(exporters: Exporters) -> Iterator[tuple[str, str]]:
    """Names of receivers, of whatever kind, are unique; credentials are of one kind."""
    names: set[str] = set()
    for kind in ("alertmanager", "keep", "webhook"):
        for index, receiver in enumerate(getattr(exporters, kind).receivers):
            key = f"exporters.{kind}.receivers[{index}]"
            if receiver.name in names:
                yield f"{key}.name", f"'{receiver.name}' is the name of another receiver"
            names.add(receiver.name)
            if isinstance(receiver, KeepReceiver):
                yield from _certificate(receiver.tls, key)
            else:
                yield from _credentials(receiver, key)


def _models(models: tuple[ModelTargets, ...]) -> Iterator[tuple[str, str]]:
    """A model has its targets in one place: of two, nobody could say which counts."""
    first: dict[str, int] = {}
    for index, model in enumerate(models):
        before = first.setdefault(model.model_name, index)
        if before != index:
            key = f"targets.models[{index}].model_name"
            known = f"{model.model_name!r} has targets.models[{before}] already"
            yield key, f"expected one entry a model, but {known}: write both as one"


def _severities(told: tuple[AlertSeverity, ...]) -> Iterator[tuple[str, str]]:
    """Each is about something, and the only one about just that."""
    first: dict[tuple[str | None, ...], int] = {}
    for index, one in enumerate(told):
        key = f"alerts.severity[{index}]"
        about = (one.alert, one.model_name, one.instance)
        if not any(about):
            yield key, "expected alert, model_name or instance, found none of them"
        before = first.setdefault(about, index)
        if before != index:
            yield key, f"is about the same as alerts.severity[{before}]: only one can count"


def _scaler(scaler: Scaler) -> Iterator[tuple[str, str]]:
    """Bounds of replicas leave room, each model has them once, and credentials are of one kind."""
    if scaler.least > scaler.most:
        yield "scaler.least", f"expected at most {scaler.most}, as scaler.most"
    if scaler.surge_target is not None and scaler.surge_target < scaler.target:
        yield "scaler.surge_target", f"expected at least {scaler.target:g}, as scaler.target"
    known: set[str] = set()
    for index, model in enumerate(scaler.models):
        key = f"scaler.models[{index}]"
        if model.model_name in known:
            yield f"{key}.model_name", f"{model.model_name!r} stands here twice: write both as one"
        known.add(model.model_name)
        if (model.least or scaler.least) > (model.most or scaler.most):
            yield f"{key}.least", "expected no more than most"
    yield from _credentials(scaler, "scaler")


def _told_once(
    key: str, told: Sequence[Declared | EngineLimits], *, anybody: bool
) -> Iterator[tuple[str, str]]:
    """Each entry is about an instance or a model, and is the only one about it."""
    first: dict[tuple[str | None, str | None], int] = {}
    for index, one in enumerate(told):
        whom = (one.instance, one.model_name)
        if None not in whom:
            yield f"{key}[{index}]", "expected either instance or model_name, found both"
        elif whom == (None, None) and not anybody:
            yield f"{key}[{index}]", "expected instance or model_name, found neither"
        if isinstance(one, EngineLimits) and not (one.max_num_seqs or one.max_num_batched_tokens):
            yield (
                f"{key}[{index}]",
                "expected max_num_seqs or max_num_batched_tokens, found neither",
            )
        if first.setdefault(whom, index) != index:
            yield f"{key}[{index}]", f"is about the same as {key}[{first[whom]}]: write both as one"


def _credentials(
    server: EngineInstance | AlertReceiver | WebhookReceiver | Scaler | Fleet, key: str
) -> Iterator[tuple[str, str]]:
    """Credentials for a server are of one kind; its certificate is judged, too."""
    if server.bearer_token and server.basic_auth:
        yield f"{key}.basic_auth", "expected either basic_auth or bearer_token, found both"
    yield from _certificate(server.tls, key)


def _certificate(tls: Tls, key: str) -> Iterator[tuple[str, str]]:
    """A certificate comes with its key."""
    if (tls.cert_file is None) != (tls.key_file is None):
        yield f"{key}.tls", "expected cert_file and key_file together"


def _ports(settings: Settings) -> Iterator[tuple[str, str]]:
    """The agent listens on each port once, and no engine is at a port of the agent."""
    listens = settings.exporters.http_api.listen
    if not listens:
        yield _LISTEN, "expected at least one address"
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
        if instance.unix_socket is None and names_this_host(parts.hostname) and port in own:
            yield f"collectors.engines.instances[{index}].url", f"port {port} is the agent's own"


def _overlap(host: str, other: str) -> bool:
    """Return whether two hosts to listen on share an address: some stand for all of a family."""
    return any(_same(one, two) for one in _places(host) for two in _places(other))


def _places(host: str) -> set[IPv4Address | IPv6Address | str]:
    """Return the addresses that a host stands for, or its name, which nobody looks up here."""
    name = host.lower().removesuffix(".")
    if not name:
        return {IPv4Address("0.0.0.0"), IPv6Address("::")}
    if name in ("localhost", "localhost.localdomain") or name.endswith(".localhost"):
        return {IPv4Address("127.0.0.1"), IPv6Address("::1")}
    if name in ("ip6-localhost", "ip6-loopback"):
        return {IPv6Address("::1")}
    try:
        return {ip_address(host)}
    except ValueError:
        return {name}


def _same(one: IPv4Address | IPv6Address | str, two: IPv4Address | IPv6Address | str) -> bool:
    """Return whether two places overlap."""
    if isinstance(one, str) or isinstance(two, str):
        every = IPv4Address("0.0.0.0")
        return one == two or every in (one, two)
    return one == two or (one.version == two.version and (one.is_unspecified or two.is_unspecified))
