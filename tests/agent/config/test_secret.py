"""Secrets: read where they lie, at every use, and never echoed."""

import os
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


def test_the_environment_is_stripped_like_a_file(monkeypatch: pytest.MonkeyPatch):
    """A newline that came along with the value is no part of the secret."""
    monkeypatch.setenv("TOKEN", " hunter2\r\n")
    assert Secret(env="TOKEN").reveal() == "hunter2"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("hun\tter2", "control characters"),
        ("hunter2\x1b", "control characters"),
        ("hunter2\x7f", "control characters"),
    ],
)
def test_what_no_header_can_carry_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, problem: str
):
    """Wherever it lies, the message names the place of a bad secret and not the secret."""
    monkeypatch.setenv("TOKEN", value)
    (tmp_path / "token").write_text(value)
    for secret, place in [(Secret(env="TOKEN"), "TOKEN"), (Secret(file=tmp_path / "token"), "tok")]:
        with pytest.raises(ConfigError, match=f"{place}.* {problem}") as caught:
            secret.reveal()
        assert "hun" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused_in_the_environment(monkeypatch: pytest.MonkeyPatch):
    """A variable may hold any bytes; those that are no UTF-8 could not be sent."""
    monkeypatch.setitem(os.environ, "TOKEN", os.fsdecode(b"hunter\xff"))
    with pytest.raises(ConfigError, match="TOKEN is not text"):
        Secret(env="TOKEN").reveal()


def test_only_a_regular_file_is_read(tmp_path: Path):
    """A pipe that nobody writes to is refused at once; a link to a file is a file."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe cannot be read: it is no regular file"):
        Secret(file=tmp_path / "pipe").reveal()
    with pytest.raises(ConfigError, match="no regular file"):
        Secret(file=Path("/dev/zero")).reveal()
    (tmp_path / "long").write_text("hunter2" * 10_000)
    with pytest.raises(ConfigError, match="longer than"):
        Secret(file=tmp_path / "long").reveal()
    (tmp_path / "token").write_text("hunter2")
    (tmp_path / "link").symlink_to(tmp_path / "token")
    assert Secret(file=tmp_path / "link").reveal() == "hunter2"
