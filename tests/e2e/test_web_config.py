"""The daemon behind a web configuration: TLS, users, renewals, and who may reload."""

import base64
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.__main__ import main
from tests.e2e.process import AgentProcess, agent_process, free_port
from tests.e2e.prometheus import prometheus
from tests.fakes.certificates import HASH, PASSWORD, write_authority, write_certificate
from tests.servers import NEEDS_PROMETHEUS, NEEDS_PROMTOOL, PROMTOOL

CONFIG = """
tick: {{interval: 200ms}}
exporters: {{http_api: {{listen: ["127.0.0.1:{port}"], web_config: {folder}/web.yml}}}}
collectors:
  nvml: {{enabled: false}}
  dcgm: {{enabled: false}}
  discovery: {{enabled: false}}
  kernel_log: {{enabled: false}}
alerts: {{enabled: false}}
history: {{enabled: false}}
incidents: {{enabled: false}}
"""
WEB = f"""
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: one.ca.pem
  client_allowed_sans: [prometheus]
basic_auth_users:
  alice: {HASH}
http_server_config:
  headers:
    Strict-Transport-Security: max-age=600
"""
READ = "inferwatch_web_config_last_read_successful"
BASIC = {"Authorization": "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode()}


def _write(folder: Path, port: int) -> Path:
    """Write everything that the daemon and its clients need; return the configuration."""
    write_authority(folder)
    write_certificate(folder, "server")
    write_certificate(folder, "client", "prometheus")
    (folder / "web.yml").write_text(WEB)
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(port=port, folder=folder))
    return config


def _client(folder: Path) -> ssl.SSLContext:
    """Return how a client connects that is let in."""
    context = ssl.create_default_context(cafile=str(folder / "one.ca.pem"))
    context.load_cert_chain(folder / "client.crt", folder / "client.key")
    return context


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the agent's files."""
    return tmp_path_factory.mktemp("agent")


@pytest.fixture(scope="module")
def agent(folder: Path) -> Iterator[AgentProcess]:
    """A running agent behind TLS, a password and certificates of clients."""
    port = free_port()
    config = _write(folder, port)
    arguments = ("run", "--config", str(config))
    with agent_process(
        folder, *arguments, port=port, context=_client(folder), headers=BASIC
    ) as running:
        yield running


def test_renewals_and_reloads_of_a_running_agent(folder: Path, agent: AgentProcess):
    """A running agent shows a renewed certificate, keeps one that breaks, and says which it was.

    Whoever has the password reloads; a configuration whose web configuration is broken is refused.
    """
    assert agent.get("/metrics", Authorization="Basic eDp5")[0] == 401
    assert agent.value(READ) == 1
    assert f'"page": "{agent.url}"' in agent.log.read_text()
    assert '"scrapeUrl": "https://' in agent.get("/api/v1/targets")[1]
    first = _shown(agent, folder)
    write_certificate(folder, "server")
    assert _shown(agent, folder) != first
    (folder / "server.key").write_text("gone wrong")
    second = _shown(agent, folder)
    agent.wait_for(READ, 0)
    assert agent.post("/-/reload")[0] == 400
    assert "server.key" in agent.post("/-/reload")[1]
    write_certificate(folder, "server")
    assert _shown(agent, folder) != second
    agent.wait_for(READ, 1)
    assert agent.post("/-/reload", Authorization="Basic eDp5")[0] == 401
    assert agent.post("/-/reload", Origin="https://example.com")[0] == 403
    assert agent.post("/-/reload") == (200, "reloaded\n")
    log = agent.log.read_text()
    assert "the web configuration is refused, the old one stays" in log
    assert "the web configuration was read again" in log
    assert PASSWORD not in log
    assert HASH not in log


def _shown(agent: AgentProcess, folder: Path) -> str:
    """Return the certificate that the agent shows a new connection."""
    import socket

    port = int(agent.url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        _client(folder).wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True) or b"")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl on the PATH")
def test_curl(folder: Path, agent: AgentProcess):
    """With curl: everything right is 200, a wrong password 401, and no certificate no answer."""
    trust = ["--cacert", str(folder / "one.ca.pem")]
    show = ["--cert", str(folder / "client.crt"), "--key", str(folder / "client.key")]

    def status(*options: str) -> str:
        command = ["curl", "-s", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}"]
        done = subprocess.run(
            [*command, *options, f"{agent.url}/metrics"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.stdout

    assert status(*trust, *show, "-u", f"alice:{PASSWORD}") == "200"
    assert status(*trust, *show, "--http2", "-u", f"alice:{PASSWORD}") == "200"
    assert status(*trust, *show, "--tls-max", "1.2", "-u", f"alice:{PASSWORD}") == "200"
    assert status(*trust, *show, "-u", "alice:wrong") == "401"
    assert status(*trust, *show) == "401"
    assert status(*trust, "-u", f"alice:{PASSWORD}") == "000"
    assert status(*show, "-u", f"alice:{PASSWORD}") == "000"  # trusts nobody


def test_the_option_of_exporters(tmp_path: Path):
    """`--web.config.file` does what it does with exporters, also by a path from where one is."""
    port = free_port()
    write_authority(tmp_path)
    write_certificate(tmp_path, "server")
    (tmp_path / "web.yml").write_text("basic_auth_users: {alice: " + HASH + "}")
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(port=port, folder="/nowhere"))
    arguments = ("run", "--config", str(config), "--web.config.file", "web.yml")
    with agent_process(tmp_path, *arguments, port=port, headers=BASIC) as running:
        assert running.get("/-/ready", Authorization="")[0] == 401


def test_a_replay_asks_what_it_is_told_to(tmp_path: Path):
    """A recording, too, is shown over TLS, and to those alone who have the password."""
    port = free_port()
    context = ssl.create_default_context(cafile=str(write_authority(tmp_path)))
    write_certificate(tmp_path, "server")
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
        "basic_auth_users: {alice: " + HASH + "}\n"
    )
    arguments = ("demo", "--listen", f"127.0.0.1:{port}", "--web-config", "web.yml")
    with agent_process(tmp_path, *arguments, port=port, context=context, headers=BASIC) as running:
        assert running.get("/")[0] == 200
        assert running.get("/", Authorization="")[0] == 401
        assert f"https://127.0.0.1:{port}" in running.log.read_text()


# The toolkit of Debian's promtool does not know these names yet.
OLDER = WEB.replace("  client_allowed_sans: [prometheus]\n", "")


def _with(line: str) -> str:
    """Return the file with one more line about TLS."""
    return OLDER.replace("basic_auth_users", f"  {line}\nbasic_auth_users")


@pytest.mark.server
@NEEDS_PROMTOOL
@pytest.mark.parametrize(
    ("text", "good"),
    [
        (OLDER, True),
        (_with("min_version: TLS13"), True),
        (_with("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]"), True),
        (_with("cipher_suites: [TLS_AES_128_GCM_SHA256]"), True),
        (_with("curve_preferences: [CurveP521]"), True),
        (_with("prefer_server_cipher_suites: false"), True),
        (OLDER.replace("$2b$", "$2y$"), True),
        (OLDER.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"), True),
        (_with("cipher_suites: [RC4]"), False),
        (_with("curve_preferences: [P521]"), False),
        (_with("min_version: SSL30"), False),
        (OLDER.replace("server.key", "other.key"), False),
        (OLDER.replace("server.key", "gone.key"), False),
        (OLDER.replace("cert_file", "certfile"), False),
        (OLDER.replace(HASH, "password"), False),
        (OLDER.replace("Strict-Transport-Security: max-age=600", "Server: x"), False),
        (OLDER.replace("RequireAndVerifyClientCert", "NoClientCert"), False),
        (OLDER.replace("  key_file: server.key\n", ""), False),
    ],
)
def test_the_toolkit_thinks_the_same(tmp_path: Path, text: str, *, good: bool):
    """What the toolkit itself accepts and refuses is accepted and refused here."""
    config = _write(tmp_path, 9745)
    write_certificate(tmp_path, "other")
    (tmp_path / "web.yml").write_text(text)
    theirs = subprocess.run(
        [PROMTOOL, "check", "web-config", str(tmp_path / "web.yml")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (theirs.returncode == 0) is good, theirs.stderr
    assert (main(["check-config", str(config)]) == 0) is good


def test_check_config_reads_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """`check-config` refuses what would be refused at the start, each with the file's name."""
    config = _write(tmp_path, 9745)
    assert main(["check-config", str(config)]) == 0
    assert "HTTP" not in capsys.readouterr().out
    write_certificate(tmp_path, "other")
    for text, said in (
        (WEB.replace("server.key", "gone.key"), "gone.key: cannot be read: No such file"),
        (WEB.replace("server.key", "other.key"), "server.crt: is no certificate to which"),
        (WEB.replace(HASH, "password"), "web.yml:9: basic_auth_users.alice: expected a bcrypt"),
        (WEB.replace("cert_file", "certfile"), "web.yml:3: tls_server_config.certfile: unknown"),
    ):
        (tmp_path / "web.yml").write_text(text)
        assert main(["check-config", str(config)]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "web.yml").write_text("http_server_config: {http2: true}")
    assert main(["check-config", str(config)]) == 0
    assert "answers are HTTP/1.1" in capsys.readouterr().out
    (tmp_path / "web.yml").unlink()
    assert main(["check-config", str(config)]) == 2


PROMETHEUS = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: good
    scheme: https
    basic_auth: {{username: alice, password: {password}}}
    tls_config: {{ca_file: one.ca.pem, cert_file: client.crt, key_file: client.key}}
    static_configs: [{{targets: ["localhost:{port}"]}}]
  - job_name: wrong-password
    scheme: https
    basic_auth: {{username: alice, password: wrong}}
    tls_config: {{ca_file: one.ca.pem, cert_file: client.crt, key_file: client.key}}
    static_configs: [{{targets: ["localhost:{port}"]}}]
  - job_name: no-certificate
    scheme: https
    basic_auth: {{username: alice, password: {password}}}
    tls_config: {{ca_file: one.ca.pem}}
    static_configs: [{{targets: ["localhost:{port}"]}}]
  - job_name: plain
    static_configs: [{{targets: ["localhost:{port}"]}}]
"""


@pytest.mark.server
@NEEDS_PROMETHEUS
def test_a_real_prometheus(folder: Path, agent: AgentProcess):
    """Prometheus scrapes with certificate and password, and by no other way."""
    config = PROMETHEUS.format(password=PASSWORD, port=agent.url.rpartition(":")[2])
    with prometheus(folder, config) as server:
        server.wait_for('sum_over_time(up{job="good"}[10s]) >= 3')
        for job in ("wrong-password", "no-certificate", "plain"):
            server.wait_for(f'count_over_time(up{{job="{job}"}}[10s]) >= 3')
            assert server.found(f'max_over_time(up{{job="{job}"}}[1m])')[0]["value"][1] == "0"
        write_certificate(folder, "server")
        server.wait_for('count_over_time(up{job="good"}[3s]) >= 3')
        assert server.found('min_over_time(up{job="good"}[3s])')[0]["value"][1] == "1"
        targets = server.ask("targets")[1]["data"]["activeTargets"]
        errors = {target["labels"]["job"]: target["lastError"] for target in targets}
        assert errors["good"] == ""
        assert "401" in errors["wrong-password"]
