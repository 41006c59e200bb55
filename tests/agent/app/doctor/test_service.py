"""The doctor in the place of the service: its user, and the groups of its unit."""

import grp
import os
from pathlib import Path
from typing import Any

import pytest

from agent.app.doctor.service import ServiceError, become_service


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Be root, and keep the rights that are taken on instead of taking them on."""
    found: list[tuple[str, Any]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("setgroups", "setgid", "setuid"):
        monkeypatch.setattr(os, name, lambda given, name=name: found.append((name, given)))
    return found


def systemctl(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str, status: int = 0) -> None:
    """Put a systemctl on the path that prints these lines, and complains if it fails."""
    program = folder / "systemctl"
    said = "\n".join(lines)
    program.write_text(
        f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n[ {status} = 0 ] || echo No bus >&2\nexit {status}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_user_and_groups_of_the_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: list[tuple[str, Any]]
):
    """Groups before the user, because root alone may take them on; those of drop-ins too."""
    systemctl(
        tmp_path, monkeypatch, "User=nobody", "Group=nogroup", "SupplementaryGroups=adm video"
    )
    assert become_service() == "nobody"
    groups = {grp.getgrnam(name).gr_gid for name in ("nogroup", "adm", "video")}
    assert [name for name, _given in taken] == ["setgroups", "setgid", "setuid"]
    assert groups <= set(taken[0][1])
    assert taken[1:] == [("setgid", grp.getgrnam("nogroup").gr_gid), ("setuid", 65534)]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("User=", "Group="), "knows no inferwatch.service"),
        (("User=nobody", "SupplementaryGroups=none-such"), "none-such"),
        ((), "systemctl cannot be asked: No bus"),
    ],
)
def test_no_such_service(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    taken: list[tuple[str, Any]],
    lines: tuple[str, ...],
    words: str,
):
    """What is missing is said, and no right is given up halfway."""
    systemctl(tmp_path, monkeypatch, *lines, status=0 if lines else 1)
    with pytest.raises(ServiceError, match=words):
        become_service()
    assert taken == []


def test_only_root_can(monkeypatch: pytest.MonkeyPatch):
    """Others are told how."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ServiceError, match="sudo inferwatch doctor --as-service"):
        become_service()
