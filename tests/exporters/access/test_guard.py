"""The files: what has changed is used by the next who connects, what is broken is not."""

import asyncio
import ssl
import threading
from pathlib import Path

import pytest

from agent.config import Listen
from agent.model import ConfigError
from exporters.access import Guard
from exporters.access import guard as module
from tests.exporters.access.served import ALICE, STRICT, TLS, Endpoint, served
from tests.exporters.access.test_passwords import RIGHT
from tests.fakes.certificates import write_authority, write_certificate
from tests.fakes.clock import ManualClock


async def _shown(endpoint: Endpoint) -> bytes:
    """Return the certificate that a new connection is shown, as DER."""
    _, writer = await asyncio.open_connection("localhost", endpoint.port, ssl=endpoint.trusting())
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found


def _on_disk(folder: Path) -> bytes:
    """Return the certificate that lies there, as DER."""
    return ssl.PEM_cert_to_DER_cert((folder / "server.crt").read_text())


async def test_a_renewed_certificate_is_shown_to_the_next(tmp_path: Path):
    """Without a restart or reload, the next connection is shown what lies there now."""
    async with served(tmp_path, TLS) as endpoint:
        first = await _shown(endpoint)
        assert first == _on_disk(tmp_path)
        for _ in range(3):
            write_certificate(tmp_path, "server")
            assert await _shown(endpoint) == _on_disk(tmp_path) != first
        assert endpoint.said == ["", "", ""]


async def test_a_renewal_by_a_link(tmp_path: Path):
    """Certbot and Kubernetes switch a link: what it points to counts."""
    for stem in ("old", "new"):
        (tmp_path / stem).mkdir()
        write_certificate(tmp_path / stem, "server")
    (tmp_path / "live").symlink_to("old")
    text = TLS.replace("server.", "live/server.")
    async with served(tmp_path, text) as endpoint:
        assert await _shown(endpoint) == _on_disk(tmp_path / "old")
        (tmp_path / "next").symlink_to("new")
        (tmp_path / "next").replace(tmp_path / "live")
        assert await _shown(endpoint) == _on_disk(tmp_path / "new")


async def test_a_broken_renewal_keeps_the_old_one(tmp_path: Path):
    """Half a renewal is said once, the old certificate stays, and the whole one is used."""
    async with served(tmp_path, TLS) as endpoint:
        before = await _shown(endpoint)
        (tmp_path / "server.crt").write_text("half of it")
        assert [await _shown(endpoint) for _ in range(3)] == [before] * 3
        assert len(endpoint.said) == 1
        assert "server.crt" in endpoint.said[0]
        (tmp_path / "server.key").unlink()
        assert await _shown(endpoint) == before
        assert "server.key: cannot be read" in endpoint.said[1]
        write_certificate(tmp_path, "server")
        assert await _shown(endpoint) == _on_disk(tmp_path)
        assert endpoint.said[2:] == [""]


async def test_a_certificate_that_comes_before_its_key(tmp_path: Path):
    """Between the two writes of a renewal the old pair is shown."""
    async with served(tmp_path, TLS) as endpoint:
        before = await _shown(endpoint)
        other = tmp_path / "other"
        other.mkdir()
        certificate, key = write_certificate(other, "server")
        certificate.replace(tmp_path / "server.crt")
        assert await _shown(endpoint) == before
        assert "is no certificate to which" in endpoint.said[0]
        key.replace(tmp_path / "server.key")
        assert await _shown(endpoint) == _on_disk(tmp_path) != before


async def test_the_file_itself_is_read_again(tmp_path: Path):
    """A user who is added or taken away counts from the next request on, also on a connection."""
    async with served(tmp_path, "") as endpoint:
        assert (await endpoint.ask())[0] == 200
        endpoint.write(ALICE)
        assert (await endpoint.ask())[0] == 401
        assert (await endpoint.ask(Authorization=RIGHT))[0] == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        seen = []
        for text in (ALICE, ALICE.replace("alice", "bob")):
            endpoint.write(text)
            writer.write(
                f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {RIGHT}\r\n\r\n".encode()
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            await reader.readexactly(int(head.split("Content-Length: ")[1].split("\r\n")[0]))
            seen.append(int(head.split()[1]))
        writer.close()
        assert seen == [200, 401]


async def test_a_broken_file_keeps_the_users(tmp_path: Path):
    """A mistake in the file opens nothing."""
    async with served(tmp_path, ALICE) as endpoint:
        for broken in ("basic_auth_users: {bob: hunter2}", "x: 1", "["):
            endpoint.write(broken)
            assert (await endpoint.ask())[0] == 401
            assert (await endpoint.ask(Authorization=RIGHT))[0] == 200
        (tmp_path / "web.yml").unlink()
        assert (await endpoint.ask())[0] == 401
        assert "hunter2" not in "".join(endpoint.said)
        assert all(endpoint.said)


async def test_tls_that_is_switched_on(tmp_path: Path):
    """Once TLS is asked for, a connection from before is ended and a new one has to use it."""
    async with served(tmp_path, "") as endpoint:
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        writer.write(b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"ready\n")
        endpoint.write(TLS)
        assert (await endpoint.ask())[0] == 0
        assert (await endpoint.ask(tls=endpoint.trusting()))[0] == 200
        assert await asyncio.wait_for(reader.read(), 5.0) == b""
        writer.close()


async def test_another_authority_for_clients(tmp_path: Path):
    """Certificates of an authority that was taken out of the file pass no more."""
    async with served(tmp_path, STRICT) as endpoint:
        client = endpoint.showing("prometheus")
        assert (await endpoint.ask(tls=client))[0] == 200
        write_authority(tmp_path, "two").replace(tmp_path / "one.ca.pem")
        assert (await endpoint.ask(tls=client))[0] == 0


async def test_without_a_change_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As long as the files look the same, they are looked at and not read."""
    async with served(tmp_path, TLS) as endpoint:
        context = endpoint.guard.used
        monkeypatch.setattr(module, "load_web_config", None)
        assert (await endpoint.ask(tls=endpoint.trusting()))[0] == 200
        assert endpoint.guard.used is context
        assert endpoint.said == []


async def test_a_disk_that_hangs_costs_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """While the files give no answer, what was read before is used, and that is said once."""
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    hangs, real = threading.Event(), module.stamp

    def stamp(path: Path) -> module.Stamp:
        hangs.wait(10.0)
        return real(path)

    async with served(tmp_path, ALICE) as endpoint:
        monkeypatch.setattr(module, "stamp", stamp)
        try:
            for _ in range(3):
                assert (await endpoint.ask(Authorization=RIGHT))[0] == 200
                assert (await endpoint.ask())[0] == 401
                endpoint.agent.clock.advance(1.0)
            assert len(endpoint.said) == 1
            assert "gives no answer" in endpoint.said[0]
        finally:
            hangs.set()
        for _ in range(100):
            await endpoint.guard.refresh()
            if len(endpoint.said) > 1:
                break
            await asyncio.sleep(0.01)
        assert endpoint.said[1:] == [""]


async def test_a_reload_with_a_bad_file_changes_nothing(tmp_path: Path):
    """A reload that names a file with problems is refused, whatever else it asks for."""
    async with served(tmp_path, ALICE) as endpoint:
        bad = tmp_path / "bad.yml"
        bad.write_text("tls_server_config: {cert_file: gone, key_file: gone}")
        with pytest.raises(ConfigError, match="gone: cannot be read"):
            await endpoint.api.listen([Listen("127.0.0.1", endpoint.port)], web_config=bad)
        assert (await endpoint.ask())[0] == 401
        assert (await endpoint.ask(Authorization=RIGHT))[0] == 200


async def test_a_reload_that_cannot_listen_keeps_the_users(tmp_path: Path):
    """When an address cannot be had, nobody is let in who was kept out before."""
    async with served(tmp_path, ALICE) as endpoint:
        with pytest.raises(ConfigError, match="cannot listen"):
            await endpoint.api.listen([Listen("192.0.2.1", 1)])
        assert (await endpoint.ask())[0] == 401


async def test_a_reload_without_the_file_opens_the_endpoint(tmp_path: Path):
    """Whoever takes `web_config` out of the settings wants no passwords any more."""
    async with served(tmp_path, TLS + ALICE) as endpoint:
        await endpoint.api.listen([Listen("127.0.0.1", endpoint.port)])
        assert (await endpoint.ask())[0] == 200


async def test_a_first_file_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The agent says why it does not start when the file lies on a disk that hangs."""
    monkeypatch.setattr(module, "_FIRST", 0.02)
    hangs = threading.Event()
    monkeypatch.setattr(module, "read_all", lambda _path: hangs.wait(10.0))
    guard = Guard(clock=ManualClock())
    with pytest.raises(ConfigError, match="gave no answer within"):
        await guard.read(tmp_path / "web.yml")
    hangs.set()


def test_what_changes_with_a_file(tmp_path: Path):
    """Another content, another mode and another file are each seen; a missing one is None."""
    path = tmp_path / "f"
    path.write_text("a")
    seen = {module.stamp(path)}
    path.write_text("ab")
    seen.add(module.stamp(path))
    path.chmod(0o600)
    seen.add(module.stamp(path))
    (tmp_path / "g").write_text("ab")
    (tmp_path / "g").replace(path)
    seen.add(module.stamp(path))
    path.unlink()
    seen.add(module.stamp(path))
    assert len(seen) == 5
    assert None in seen
