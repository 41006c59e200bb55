"""The settings of those who are told of alerts."""

from dataclasses import dataclass, field
from typing import Annotated

from agent.config.access import BasicAuth, Tls
from agent.config.secret import Secret
from agent.config.values import Duration, Name, Size, Url

Timeout = Annotated[float, Duration(0.05, 600.0)]
Repeat = Annotated[float, Duration(60.0, 7 * 86_400.0)]
SpoolSize = Annotated[int, Size(4096)]

_SPOOL = 4 * 2**20
_REPEAT = 4 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertReceiver:
    """One Alertmanager; `url` is that of its web interface."""

    name: Annotated[str, Name()]
    url: Annotated[str, Url()]
    timeout: Timeout = 10.0
    bearer_token: Secret | None = None
    basic_auth: BasicAuth | None = None
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertReceivers:
    """Every receiver is told of every alert. `spool_size`: what may wait for each on disk."""

    receivers: tuple[AlertReceiver, ...] = ()
    spool_size: SpoolSize = _SPOOL


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepReceiver:
    """One Keep; `url` is that of its API. `repeat`: how often it hears of what fires on."""

    name: Annotated[str, Name()]
    url: Annotated[str, Url()]
    timeout: Timeout = 10.0
    repeat: Repeat = _REPEAT
    api_key: Secret | None = None
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepReceivers:
    """As those of Alertmanager."""

    receivers: tuple[KeepReceiver, ...] = ()
    spool_size: SpoolSize = _SPOOL


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReceiver:
    """One webhook; `url` is its whole address. `repeat`: as for Keep."""

    name: Annotated[str, Name()]
    url: Annotated[str, Url()]
    timeout: Timeout = 10.0
    repeat: Repeat = _REPEAT
    bearer_token: Secret | None = None
    basic_auth: BasicAuth | None = None
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReceivers:
    """As those of Alertmanager."""

    receivers: tuple[WebhookReceiver, ...] = ()
    spool_size: SpoolSize = _SPOOL
