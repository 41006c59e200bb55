"""Secrets: named in the configuration, read when needed, never echoed."""

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.files import read_regular
from agent.model import ConfigError

_LONGEST: Final = 16 * 1024
"""Bytes that the file of a secret may have; tokens have at most a few thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Where a secret lies; exactly one of the three is set.

    Attributes:
        file: a file whose first line is the secret; read again on every use, so that a secret
            can be renewed without a restart.
        env: an environment variable of the agent.
        credential: a systemd credential (`LoadCredential=`) of the agent's unit.
    """

    file: Path | None = None
    env: str | None = None
    credential: str | None = None

    def reveal(self) -> str:
        """Return the secret itself: the first line of what lies there, stripped.

        A file may lie where reading never returns, so the event loop leaves this to a thread.

        Raises:
            ConfigError: it is not where the configuration says, or is none that can be sent; the
                message names the place.
        """
        if self.env is not None:
            value = os.environ.get(self.env)
            if value is None:
                raise ConfigError(f"the environment variable {self.env} is not set")
            return _checked(value, f"the environment variable {self.env}")
        path = self._path()
        try:
            text = read_regular(path, longest=_LONGEST).decode()
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(f"the secret in {path} cannot be read: {reason}") from error
        except UnicodeDecodeError:
            # The error would quote the secret.
            raise ConfigError(f"the secret in {path} cannot be read: it is not text") from None
        return _checked(text, f"the secret in {path}")

    def _path(self) -> Path:
        """Return the file that holds the secret."""
        if self.file is not None:
            return self.file
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise ConfigError(
                f"the credential {self.credential} needs LoadCredential= in the systemd unit"
            )
        return Path(folder) / str(self.credential)


def _checked(text: str, place: str) -> str:
    """Return a secret that a header can carry.

    Raises:
        ConfigError: there is none, or it holds what no header can; names the place alone.
    """
    secret = text.partition("\n")[0].strip()
    if not secret:
        raise ConfigError(f"{place} is empty")
    categories = {unicodedata.category(character) for character in secret}
    if "Cs" in categories:  # bytes that were not UTF-8
        raise ConfigError(f"{place} is not text")
    if "Cc" in categories:
        raise ConfigError(f"{place} holds control characters")
    return secret
