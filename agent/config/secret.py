"""Secrets: named in the configuration, read when needed, never echoed."""

import os
from dataclasses import dataclass
from pathlib import Path

from agent.model import ConfigError


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
        """Return the secret itself.

        Raises:
            ConfigError: it is not where the configuration says; the message names the place.
        """
        if self.env is not None:
            value = os.environ.get(self.env)
            if value is None:
                raise ConfigError(f"the environment variable {self.env} is not set")
            return value
        path = self._path()
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the secret in {path} cannot be read: {error}") from error
        if not lines or not lines[0].strip():
            raise ConfigError(f"the secret in {path} is empty")
        return lines[0].strip()

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
