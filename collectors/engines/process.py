"""A running server of an engine, as its command line shows it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final
from urllib.parse import urlsplit

from agent.config import EngineInstance
from agent.config.values import names_this_host
from collectors.engines.profile import Engine, Fact

_EVERYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]", "*": "127.0.0.1"}
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_NAME: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProcess:
    """A server process. Its number and its start tell it from any other.

    Attributes:
        engine: what it runs.
        pid: process id on this host.
        start_time: Unix seconds.
        facts: what its command line says, as `commandline` has checked it; never a secret.
    """

    engine: Engine
    pid: int
    start_time: float
    facts: Mapping[Fact, str]

    @property
    def port(self) -> int | None:
        """TCP port that it listens on, or None when it listens on a Unix socket."""
        if self.unix_socket is not None:
            return None
        port = self.facts.get(Fact.PORT, "")
        return int(port) if port.isdecimal() else self.engine.port

    @property
    def unix_socket(self) -> Path | None:
        """Unix socket that it listens on; llama-server takes a host ending in `.sock` for one."""
        host = self.facts.get(Fact.HOST, "")
        path = self.facts.get(Fact.UNIX_SOCKET, "") or (host if host.endswith(".sock") else "")
        return Path(path) if path.startswith("/") else None

    @property
    def url(self) -> str:
        """Base address at which this host reaches it."""
        scheme = "https" if Fact.TLS_KEY in self.facts else "http"
        base = "/" + self.facts[Fact.BASE_PATH].strip("/") if Fact.BASE_PATH in self.facts else ""
        if self.unix_socket is not None:
            return f"{scheme}://localhost{base}"
        host = self.facts.get(Fact.HOST, "")
        host = _EVERYWHERE.get(host, f"[{host}]" if ":" in host else host)
        return f"{scheme}://{host}:{self.port}{base}"

    def instance(self, name: str) -> EngineInstance:
        """Return how to reach it, under a name."""
        return EngineInstance(
            name=name, engine=self.engine.name, url=self.url, unix_socket=self.unix_socket
        )

    def default_name(self) -> str:
        """Return the engine's name with the port, or with the name of the socket."""
        if self.unix_socket is not None:
            name = f"{self.engine.name}-{PurePath(self.unix_socket).stem}"
            return _NOT_IN_NAMES.sub("_", name)[:_LONGEST_NAME]
        return f"{self.engine.name}-{self.port}"

    def serves(self, instance: EngineInstance) -> bool:
        """Return whether a configured address of this host is this process."""
        if instance.engine != self.engine.name:
            return False
        if instance.unix_socket is not None or self.unix_socket is not None:
            return instance.unix_socket == self.unix_socket
        parts = urlsplit(instance.url)
        own = urlsplit(self.url)
        default = 443 if parts.scheme == "https" else 80
        local = names_this_host(parts.hostname) or parts.hostname == own.hostname
        return local and (parts.port or default) == self.port
