"""Containers for the tests of the unit and its installation."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.container import REPOSITORY, Container, debian_root, missing, wheels

INSTALL = "make --silent -C /src install WHEELS=/wheels"
UNINSTALL = "make --silent -C /src uninstall"


@pytest.fixture(scope="session")
def binds() -> dict[Path, str]:
    """Return what every container sees of this machine; skips where none can be booted."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    return {REPOSITORY: "/src", wheels(): "/wheels"}


@pytest.fixture
def container(binds: dict[Path, str]) -> Iterator[Container]:
    """A booted Debian on which nothing is installed."""
    with Container(debian_root(), binds=binds) as booted:
        yield booted


@pytest.fixture(scope="module")
def host(binds: dict[Path, str]) -> Iterator[Container]:
    """A booted Debian with the service installed, shared by the tests of a module."""
    with Container(debian_root(), binds=binds) as booted:
        booted.out(INSTALL, timeout=120)
        yield booted


@pytest.fixture
def service(host: Container) -> Iterator[Container]:
    """The shared host with the service running on the configuration it came with."""
    yield host
    host.out(
        "rm -rf /etc/systemd/system/inferwatch.service.d /run/systemd/system/inferwatch.service.d"
        " && cp /src/config.example.yaml /etc/inferwatch/config.yaml"
        " && systemctl daemon-reload && systemctl reset-failed inferwatch"
        " && systemctl restart inferwatch"
    )
