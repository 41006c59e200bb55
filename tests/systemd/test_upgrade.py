"""`make install` over a running service."""

import pytest

from tests.systemd.asked import asked
from tests.systemd.conftest import INSTALL
from tests.systemd.container import Container

pytestmark = pytest.mark.systemd

CONFIG = "/etc/inferwatch/config.yaml"
PAGE = "curl -sf http://127.0.0.1:9745/metrics"
ACTIVE = "systemctl is-active --quiet inferwatch"


def main_pid(service: Container) -> str:
    """Return the pid of the running agent."""
    return service.out("systemctl show --property=MainPID --value inferwatch")


def test_an_upgrade_keeps_what_is_the_users(service: Container):
    """Installed over a running service: restarted, with its configuration and history untouched."""
    service.out(f"echo '# mine' >> {CONFIG}; echo past > /var/lib/inferwatch/history")
    pid = main_pid(service)

    service.out(INSTALL, timeout=120)

    service.out(ACTIVE)
    assert main_pid(service) != pid
    assert "# mine" in service.out(f"cat {CONFIG}")
    assert "# mine" not in service.out(f"cat {CONFIG}.new")
    assert service.out("cat /var/lib/inferwatch/history") == "past"
    assert len(service.out("ls -d /opt/inferwatch/venv-*").split()) == 1


def test_an_upgrade_keeps_the_history(service: Container):
    """What was seen before it is there after it, to the first sample."""
    service.until(f"{PAGE} | grep -q '^inferwatch_host_cpus'", seconds=15)
    # By then a tick is past that the file, written when the old version ends, has to hold.
    service.out("sleep 3")
    begun = "query?query=min_over_time(timestamp(up)[1h:1s])"
    before = asked(service, begun)["data"]["result"][0]["value"][1]

    service.out(INSTALL, timeout=120)

    assert asked(service, begun)["data"]["result"][0]["value"][1] == before


def test_an_upgrade_leaves_a_stopped_service_stopped(service: Container):
    """A service that its owner stopped is not started by an upgrade."""
    service.out("systemctl disable --now inferwatch")

    service.out(INSTALL, timeout=120)

    assert service.sh(ACTIVE).returncode != 0
    assert service.sh("systemctl is-enabled --quiet inferwatch").returncode != 0
    service.out("systemctl enable inferwatch")


def test_a_version_that_refuses_the_configuration_changes_nothing(service: Container):
    """When the new version refuses the file, the old one runs on, untouched."""
    service.out(f"echo 'nonsense: 1' >> {CONFIG}")
    pid, venv = main_pid(service), service.out("readlink /opt/inferwatch/venv")

    refused = service.sh(INSTALL, timeout=120)

    assert refused.returncode != 0
    assert "nonsense" in refused.stdout
    assert main_pid(service) == pid
    assert service.out("ls -d /opt/inferwatch/venv-*") == f"/opt/inferwatch/{venv}"


def test_a_version_that_does_not_start_is_rolled_back(service: Container):
    """When the new version fails at start, the one before is put back and runs."""
    venv = service.out("readlink /opt/inferwatch/venv")
    service.out(
        "mkdir /tmp/new && cd /src && cp -r agent collectors exporters systemd docs *.* LICENSE"
        " /tmp/new && sed -i 's|^ExecStart=.*|ExecStart=/bin/false|'"
        " /tmp/new/systemd/inferwatch.service"
    )

    failed = service.sh("WHEELS=/wheels sh /tmp/new/systemd/install.sh", timeout=120)

    assert failed.returncode != 0
    assert "the one before is back" in failed.stdout
    service.out(ACTIVE)
    assert service.out("readlink /opt/inferwatch/venv") == venv
    service.out("curl -sf localhost:9745/metrics")
