"""TLS and passwords as the service has them: its own Python, its user, its sandbox."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.certificates import PASSWORD, write_authority, write_certificate
from tests.systemd.asked import PYTHON
from tests.systemd.container import Container

pytestmark = pytest.mark.systemd

FOLDER = "/etc/inferwatch"
# The hash is made in the container: of the cost that the documentation names.
WEB = """
import bcrypt
hashed = bcrypt.hashpw(b"{password}", bcrypt.gensalt(10)).decode()
print("tls_server_config:")
print("  cert_file: tls/server.crt")
print("  key_file: tls/server.key")
print("basic_auth_users:")
print("  prometheus:", hashed)
"""
# Each request on a connection of its own, and a handshake that begins at once.
ASK = """
import base64, collections, json, ssl, sys, urllib.error, urllib.request
context = ssl.create_default_context(cafile="/root/ca.pem")
def ask(user):
    headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}
    request = urllib.request.Request("https://127.0.0.1:9745/metrics", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=8, context=context) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return type(error).__name__
users = json.loads(sys.argv[1])
print(json.dumps([ask(user) for user in users]))
"""
SERIAL = (
    "import socket, ssl; c = ssl.create_default_context(cafile='/root/ca.pem');"
    "s = c.wrap_socket(socket.create_connection(('127.0.0.1', 9745)), server_hostname='localhost');"
    "print(s.getpeercert()['serialNumber'])"
)


def put(container: Container, text: str, path: str, *, mode: str = "0640") -> None:
    """Write a file that the service may read, as docs/security.md says."""
    container.out(
        f"cat > /run/put <<'END'\n{text}\nEND\ninstall -m {mode} -g inferwatch /run/put {path}"
    )


def renew(container: Container, folder: Path) -> None:
    """Put a fresh certificate and its key in place, in the order of the documentation."""
    certificate, key = write_certificate(folder, "server")
    put(container, key.read_text(), f"{FOLDER}/tls/server.key")
    put(container, certificate.read_text(), f"{FOLDER}/tls/server.crt", mode="0644")


@pytest.fixture
def guarded(service: Container, tmp_path: Path) -> Iterator[Container]:
    """The service with a certificate and a user, taken into use by a reload."""
    service.out(f"install -d -m 0750 -g inferwatch {FOLDER}/tls")
    put(service, write_authority(tmp_path).read_text(), "/root/ca.pem")
    put(service, ASK, "/root/ask.py")
    renew(service, tmp_path)
    put(service, WEB.format(password=PASSWORD), "/root/web.py")
    service.out(f"{PYTHON} -I /root/web.py > {FOLDER}/web.yml")
    service.out(
        f"sed -i 's|^    web_config:.*|    web_config: {FOLDER}/web.yml|' {FOLDER}/config.yaml"
    )
    service.out("systemctl reload inferwatch")
    yield service
    service.out(f"rm -rf {FOLDER}/tls {FOLDER}/web.yml")


def statuses(container: Container, *users: str) -> list[int | str]:
    """Return how a scrape by each user was answered, one connection after the other."""
    told: list[int | str] = json.loads(
        container.out(f"{PYTHON} -I /root/ask.py '{json.dumps(users)}'", timeout=300)
    )
    return told


def test_every_scrape_with_the_password_is_answered(guarded: Container):
    """Passwords are compared in the sandbox; no handshake hangs, whatever Python the host has."""
    right = f"prometheus:{PASSWORD}"
    assert statuses(guarded, *[right] * 30) == [200] * 30
    assert statuses(guarded, "", "prometheus:wrong", f"other:{PASSWORD}") == [401] * 3


def test_a_renewed_certificate_needs_no_restart(guarded: Container, tmp_path: Path):
    """The next connection shows it, the process is the same, and a broken one is not used."""
    pid = guarded.out("systemctl show --property=MainPID --value inferwatch")
    before = guarded.out(f'{PYTHON} -I -c "{SERIAL}"')

    renew(guarded, tmp_path)

    after = guarded.out(f'{PYTHON} -I -c "{SERIAL}"')
    assert after != before
    put(guarded, "broken", f"{FOLDER}/tls/server.crt", mode="0644")
    assert guarded.out(f'{PYTHON} -I -c "{SERIAL}"') == after
    assert guarded.sh("systemctl reload inferwatch").returncode != 0
    assert guarded.out("systemctl show --property=MainPID --value inferwatch") == pid
    assert "is no certificate" in guarded.out("journalctl --quiet -u inferwatch --since=-1min")
    renew(guarded, tmp_path)


def test_a_key_that_the_service_may_not_read_is_said(guarded: Container):
    """It does not start, the journal names the file, and so does the doctor with its rights."""
    guarded.out(f"chgrp root {FOLDER}/tls/server.key")

    assert guarded.sh("systemctl restart inferwatch").returncode != 0

    words = f"{FOLDER}/tls/server.key: cannot be read: Permission denied"
    assert words in guarded.out("journalctl --quiet -u inferwatch --since=-1min")
    found = json.loads(guarded.sh("inferwatch doctor --as-service --json").stdout)["findings"]
    told = {one["topic"]: one for one in found}
    assert told["web configuration"]["state"] == "broken"
    assert words in told["web configuration"]["found"]
    guarded.out(f"chgrp inferwatch {FOLDER}/tls/server.key")


def test_the_doctor_sees_what_the_service_sees(guarded: Container):
    """With its user and the groups of its unit: the kernel log, the journal, who answers."""
    found = json.loads(guarded.sh("inferwatch doctor --as-service --json").stdout)["findings"]

    states = {one["topic"]: one["state"] for one in found}
    for topic in ("web configuration", "address :9745", "kernel log", "systemd journal"):
        assert states[topic] == "ok", found
    assert "broken" not in states.values()
