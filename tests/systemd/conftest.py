"""Containers for the tests of the unit and its installation."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.container import REPOSITORY, Container, debian_root, missing, wheels

INSTALL = "make --silent -C /src install WHEELS=/wheels"
UNINSTALL = "make --silent -C /src uninstall"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests the time to boot and to install that the first of a module needs."""
    for item in items:
        if item.get_closest_marker("systemd"):
            item.add_marker(pytest.mark.timeout(600))


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
        booted.out(INSTALL, timeout=300)  # a busy machine is slow, not wrong
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
