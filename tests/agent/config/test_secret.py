"""Secrets: read where they lie, at every use, and never echoed."""

from pathlib import Path

import pytest

from agent.config import Secret
from agent.model import ConfigError


def test_from_a_file(tmp_path: Path):
    """The first line of the file is the secret, without spaces around it, read anew each time."""
    file = tmp_path / "token"
    file.write_text("  hunter2 \nsecond line\n")
    secret = Secret(file=file)
    assert secret.reveal() == "hunter2"
    file.write_text("renewed")
    assert secret.reveal() == "renewed"


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    """The variable's value is the secret."""
    monkeypatch.setenv("TOKEN", "hunter2")
    assert Secret(env="TOKEN").reveal() == "hunter2"


def test_from_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A credential lies in the folder that systemd names."""
    (tmp_path / "token").write_text("hunter2\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert Secret(credential="token").reveal() == "hunter2"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Each way to lack a secret says which place to look at."""
    monkeypatch.delenv("TOKEN", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (tmp_path / "empty").write_text("\nhunter2")
    (tmp_path / "binary").write_bytes(b"\xffhunter2")
    for secret, place in [
        (Secret(env="TOKEN"), "TOKEN is not set"),
        (Secret(credential="token"), "LoadCredential="),
        (Secret(file=tmp_path / "none"), "none cannot be read"),
        (Secret(file=tmp_path), "cannot be read"),
        (Secret(file=tmp_path / "empty"), "is empty"),
        (Secret(file=tmp_path / "binary"), "binary cannot be read"),
    ]:
        with pytest.raises(ConfigError, match=place) as caught:
            secret.reveal()
        assert "hunter2" not in str(caught.value)
