"""The settings of how a server is verified and what it is shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from agent.config.secret import Secret
from agent.config.values import AbsolutePath, Text

File = Annotated[Path, AbsolutePath()]


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth:
    """User and password for a server."""

    username: Annotated[str, Text()]
    password: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How an `https` address is verified, and a certificate to show it where it asks for one."""

    ca_file: File | None = None
    cert_file: File | None = None
    key_file: File | None = None
    server_name: Annotated[str, Text()] | None = None
    insecure_skip_verify: bool = False
