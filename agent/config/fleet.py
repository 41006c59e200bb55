"""The settings of reports over a fleet: how the Prometheus that has it is asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeAlias

from agent.config.access import BasicAuth, Tls
from agent.config.secret import Secret
from agent.config.values import Duration, LabelName

_OURS: Final = frozenset({"authorization", "content-length", "content-type", "host"})


@dataclass(frozen=True)
class HeaderName:
    """The name of an HTTP header that a user may set."""

    def convert(self, raw: object) -> str:
        """Return the name."""
        if not isinstance(raw, str) or not re.fullmatch(r"[A-Za-z0-9-]{1,64}", raw):
            raise ValueError("the name of a header, such as X-Scope-OrgID")
        if raw.lower() in _OURS:
            raise ValueError(
                "another header: for Authorization there are bearer_token and basic_auth"
            )
        return raw


@dataclass(frozen=True)
class HeaderValue:
    """The value of an HTTP header."""

    def convert(self, raw: object) -> str:
        """Return the value."""
        if not isinstance(raw, str) or not raw.isascii() or not raw.isprintable() or not raw:
            raise ValueError("text of printable ASCII characters")
        return raw


Headers: TypeAlias = Mapping[Annotated[str, HeaderName()], Annotated[str, HeaderValue()]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """How `inferwatch report --prometheus` asks.

    `cluster_label`: label by which clusters are told apart. `headers`: sent with every request,
    such as the tenant of a Mimir. `timeout`: for one query.
    """

    cluster_label: Annotated[str, LabelName()] = "cluster"
    timeout: Annotated[float, Duration(0.05, 600.0)] = 60.0
    headers: Headers = field(default_factory=dict)
    bearer_token: Secret | None = None
    basic_auth: BasicAuth | None = None
    tls: Tls = field(default_factory=Tls)
