"""The files that settings name for later: secrets and certificates, read when they are needed."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from agent.config.access import Tls
from agent.config.secret import Secret
from agent.model import ConfigError


def unreadable(settings: Any, key: str = "") -> Iterator[str]:
    """Yield a sentence for each of these files that cannot be used now, by this user.

    That is no mistake in the settings: a secret may come later, or be for the service alone.

    Args:
        settings: or a group of them.
        key: of the group.
    """
    if isinstance(settings, Secret):
        yield from _secret(settings, key)
    elif isinstance(settings, tuple):
        for place, one in enumerate(settings):
            yield from unreadable(one, f"{key}[{getattr(one, 'name', place)}]")
    elif is_dataclass(settings):
        for item in fields(settings):
            value = getattr(settings, item.name)
            name = f"{key}.{item.name}" if key else item.name
            if isinstance(settings, Tls) and isinstance(value, Path):
                yield from _file(value, name)
            else:
                yield from unreadable(value, name)


def _secret(secret: Secret, key: str) -> Iterator[str]:
    """Yield why a secret in a file cannot be had; others are those of a running agent."""
    if secret.file is None:
        return
    try:
        secret.reveal()
    except ConfigError as error:
        yield f"{key}: {error}"


def _file(path: Path, key: str) -> Iterator[str]:
    """Yield why a file cannot be read."""
    try:
        path.read_bytes()
    except OSError as error:
        yield f"{key}: {path} cannot be read: {error.strerror}"
