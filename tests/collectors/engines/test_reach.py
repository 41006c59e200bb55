"""How an engine is reached: paths, sockets, TLS and secrets."""

import asyncio
import base64
import os
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme

from agent import http_client
from agent.config import EngineInstance, Secret
from agent.config.access import BasicAuth, Tls
from agent.model import Reading, SourceError
from tests.collectors.engines.watching import RUNNING, Watch, Watched
from tests.fakes.engine_server import EngineServer


async def test_an_engine_behind_a_base_path_is_reached(watch: Watch) -> None:
    """Page and facts are below the configured path."""
    plain = EngineServer.vllm()
    server = EngineServer({f"/base{path}": body for path, body in plain.documents.items()})
    one = await watch(server, path="/base")
    assert (await one.look())[RUNNING] == 6
    assert server.requests == ["/base/metrics", "/base/version", "/base/v1/models"]


async def test_an_engine_on_a_unix_socket_is_reached(watch: Watch, tmp_path: Path) -> None:
    """No port at all: `vllm serve --uds`."""
    path = tmp_path / "engine.sock"
    server = await EngineServer.vllm().start(unix_socket=path)
    one = await watch(server, unix_socket=path)
    assert (await one.look())[RUNNING] == 6
    gone = await watch(server, unix_socket=tmp_path / "none.sock")
    with pytest.raises(SourceError, match=r"cannot connect to unix:.*none\.sock: No such file"):
        await gone.look()


async def test_an_engine_over_ipv6_is_reached(watch: Watch) -> None:
    """Brackets in the address."""
    try:
        server = await EngineServer.vllm().start(host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    one = await watch(server)
    assert "[::1]" in server.url
    assert (await one.look())[RUNNING] == 6


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority that nobody trusts."""
    return trustme.CA()


@pytest.fixture
def tls_files(authority: trustme.CA, tmp_path: Path) -> Path:
    """Return a folder with the authority's certificate and a client's certificate and key."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client = authority.issue_cert("agent@example.com")
    client.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    return tmp_path


def server_tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Return the TLS settings of a server with these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def secret(folder: Path, text: str) -> Secret:
    """Write a secret into a file."""
    path = folder / "secret"
    path.write_text(f"{text}\n")
    return Secret(file=path)


async def test_tls_with_a_bearer_token(
    watch: Watch, authority: trustme.CA, tls_files: Path
) -> None:
    """The certificate is verified against the given authority; a renewed token is used at once."""
    server = await EngineServer.vllm().start(tls=server_tls(authority, "127.0.0.1"))
    token = secret(tls_files, "first")
    one = await watch(server, tls=Tls(ca_file=tls_files / "ca.pem"), bearer_token=token)
    assert (await one.look())[RUNNING] == 6
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer first"}
    secret(tls_files, "second")
    await one.look()
    assert server.headers[-1]["Authorization"] == "Bearer second"


async def test_tls_with_basic_auth_and_a_client_certificate(
    watch: Watch, authority: trustme.CA, tls_files: Path
) -> None:
    """The server asks for a certificate and is shown one; user and password go along."""
    context = server_tls(authority, "engine.example.com")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    server = await EngineServer.vllm().start(tls=context)
    tls = Tls(
        ca_file=tls_files / "ca.pem",
        cert_file=tls_files / "client.pem",
        key_file=tls_files / "client.key",
        server_name="engine.example.com",
    )
    basic = BasicAuth(username="agent", password=secret(tls_files, "pass"))
    one = await watch(server, tls=tls, basic_auth=basic)
    assert (await one.look())[RUNNING] == 6
    scheme, _, pair = server.headers[0]["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"agent:pass")


async def test_a_certificate_that_is_not_trusted_is_refused(
    watch: Watch, authority: trustme.CA
) -> None:
    """The message says what to set; verification can be switched off."""
    server = await EngineServer.vllm().start(tls=server_tls(authority, "127.0.0.1"))
    with pytest.raises(SourceError, match=r"certificate.*not trusted.*tls\.ca_file"):
        await (await watch(server)).look()
    trusting = await watch(server, tls=Tls(insecure_skip_verify=True))
    assert (await trusting.look())[RUNNING] == 6


async def test_a_secret_that_is_missing_is_said_without_being_shown(
    watch: Watch, tmp_path: Path
) -> None:
    """The place of the secret is named."""
    one = await watch(EngineServer.vllm(), bearer_token=Secret(file=tmp_path / "none"))
    with pytest.raises(SourceError, match=r"the secret in .*none cannot be read"):
        await one.look()
    wrong = await watch(EngineServer.vllm(), tls=Tls(ca_file=tmp_path / "none"))
    assert isinstance(await wrong.collector.collect(), Reading)


async def test_a_secret_that_is_a_pipe_is_refused_at_once(watch: Watch, tmp_path: Path) -> None:
    """Nothing waits for someone to write into it, neither for a token nor for a certificate."""
    os.mkfifo(tmp_path / "pipe")
    one = await watch(EngineServer.vllm(), bearer_token=Secret(file=tmp_path / "pipe"))
    with pytest.raises(SourceError, match="pipe cannot be read: it is no regular file"):
        await asyncio.wait_for(one.look(), 10)
    instance = EngineInstance(
        name="chat", engine="vllm", url="https://127.0.0.1:1", tls=Tls(ca_file=tmp_path / "pipe")
    )
    other = Watched(instance)
    with pytest.raises(SourceError, match="pipe is no regular file"):
        await asyncio.wait_for(other.look(), 10)
    await other.collector.aclose()


async def test_a_file_that_never_answers_costs_its_engine_alone(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret on a dead filesystem holds up neither the loop nor other engines, and heals."""
    released = threading.Event()
    before = {*threading.enumerate()}  # those of other tests may take a moment to end
    hung = secret(tmp_path, "late")
    real = http_client.credentials

    def credentials(token: Secret | None, *others: Any) -> dict[str, str]:
        if token is hung:
            released.wait(30)
        return real(token, *others)

    monkeypatch.setattr(http_client, "credentials", credentials)
    (tmp_path / "other").mkdir()
    one = await watch(EngineServer.vllm(), bearer_token=hung)
    other = await watch(EngineServer.vllm(), bearer_token=secret(tmp_path / "other", "soon"))
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await one.look()
        assert (await other.look())[RUNNING] == 6
    begun = {*threading.enumerate()} - before
    assert sum(thread.name == "secrets" for thread in begun) <= 2
    released.set()
    assert (await asyncio.wait_for(one.look(), 10))[RUNNING] == 6


async def test_a_document_nested_without_end_costs_only_its_facts(watch: Watch) -> None:
    """JSON that Python cannot read is no JSON; the page is read all the same."""
    server = EngineServer.vllm()
    server.documents["/version"] = b"[" * 100_000
    assert (await (await watch(server)).look())[RUNNING] == 6
