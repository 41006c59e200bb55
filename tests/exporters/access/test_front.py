"""Connections: TLS as the file asks for it, and nothing left behind by those that fail."""

import asyncio
import ssl
from asyncio import selector_events
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporters.access import front
from tests.exporters.access.served import LAX, STRICT, TLS, served

SANS = STRICT + "  client_allowed_sans: [prometheus, '::1']\n"


async def test_scrapes_over_tls(tmp_path: Path):
    """The page, other pages and several scrapes on one connection come over TLS."""
    async with served(tmp_path, TLS) as endpoint:
        tls = endpoint.trusting()
        for path in ("/metrics", "/-/ready"):
            assert (await endpoint.ask(path, tls=tls))[0] == 200
        reader, writer = await asyncio.open_connection("localhost", endpoint.port, ssl=tls)
        for _ in range(3):
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("HTTP/1.1 200")
            await reader.readexactly(int(head.split("Content-Length: ")[1].split("\r\n")[0]))
        writer.close()


async def test_plain_http_gets_nothing(tmp_path: Path):
    """Where there is TLS, a request without it is not answered."""
    async with served(tmp_path, TLS) as endpoint:
        assert (await endpoint.ask())[0] == 0
        assert (await endpoint.ask("/-/reload", method="POST"))[0] == 0
        assert endpoint.agent.reloads == 0


async def test_a_handshake_while_the_files_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What a client says first waits for TLS, also where asyncio reads in spite of a pause.

    Up to Python 3.11.4, which Debian 12 has, a transport began to read right after
    `connection_made`, whether it was paused there or not.
    """

    def add_reader(self: Any, descriptor: int, callback: Callable[..., None], *args: Any) -> None:
        if not self._closing:
            self._loop._add_reader(descriptor, callback, *args)

    monkeypatch.setattr(selector_events._SelectorTransport, "_add_reader", add_reader)
    async with served(tmp_path, TLS) as endpoint:

        async def refresh() -> None:
            for _ in range(200):  # by then the client has said its first
                await asyncio.sleep(0)

        monkeypatch.setattr(endpoint.guard, "refresh", refresh)
        async with asyncio.timeout(5):
            assert (await endpoint.ask(tls=endpoint.trusting()))[0] == 200


async def test_certificates_of_clients(tmp_path: Path):
    """Where they are required, only who shows a good one is served."""
    async with served(tmp_path, STRICT) as endpoint:
        assert (await endpoint.ask(tls=endpoint.showing("prometheus")))[0] == 200
        assert (await endpoint.ask(tls=endpoint.trusting()))[0] == 0
        other = endpoint.showing("prometheus", authority_name="two")
        assert (await endpoint.ask(tls=other))[0] == 0


async def test_certificates_of_clients_if_given(tmp_path: Path):
    """Where they are welcome, a client without is served and one with another's is not."""
    async with served(tmp_path, LAX) as endpoint:
        assert (await endpoint.ask(tls=endpoint.trusting()))[0] == 200
        other = endpoint.showing("prometheus", authority_name="two")
        assert (await endpoint.ask(tls=other))[0] == 0


@pytest.mark.parametrize(
    ("names", "status"), [(("prometheus",), 200), (("x", "::1"), 200), (("grafana",), 0)]
)
async def test_names_of_clients(tmp_path: Path, names: tuple[str, ...], status: int):
    """Of good certificates only those pass that have an allowed name."""
    async with served(tmp_path, SANS) as endpoint:
        assert (await endpoint.ask(tls=endpoint.showing(*names)))[0] == status


async def test_a_session_that_is_taken_up_again(tmp_path: Path):
    """A client that resumes a session has shown its certificate then, and is served."""
    async with served(tmp_path, SANS) as endpoint:
        client = endpoint.showing("prometheus")
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        session, resumed = None, []
        for _ in range(2):
            text, session, again = await asyncio.to_thread(_get, endpoint.port, client, session)
            assert text.startswith(b"HTTP/1.1 200")
            resumed.append(again)
        assert resumed == [False, True]


def _get(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None):  # noqa: ANN202
    """Return the beginning of an answer, the session, and whether it was an old one."""
    import socket

    with (
        socket.create_connection(("localhost", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as tls,
    ):
        tls.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        return tls.recv(100), tls.session, tls.session_reused


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"])
async def test_a_client_that_goes_in_the_middle(tmp_path: Path, said: bytes):
    """A connection that ends before or within the handshake leaves nothing behind."""
    async with served(tmp_path, TLS) as endpoint:
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        writer.write(said)
        writer.close()
        await asyncio.wait_for(reader.read(), 5.0)
        for _ in range(100):
            if not endpoint.api._fronts:
                break
            await asyncio.sleep(0.01)
        assert endpoint.api._fronts == set()
        assert (await endpoint.ask(tls=endpoint.trusting()))[0] == 200


async def test_a_client_that_never_shakes_hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever connects and says nothing is sent away after a while."""
    monkeypatch.setattr(front, "HANDSHAKE", 0.05)
    async with served(tmp_path, TLS) as endpoint:
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        assert await asyncio.wait_for(reader.read(), 5.0) == b""
        writer.close()
        assert endpoint.api._fronts == set()


async def test_the_end_does_not_wait_for_handshakes(tmp_path: Path):
    """The agent ends while a client is in the middle of a handshake."""
    async with served(tmp_path, TLS) as endpoint:
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        for _ in range(100):
            if endpoint.api._fronts:
                break
            await asyncio.sleep(0.01)
        await asyncio.wait_for(endpoint.api.aclose(), 2.0)
        assert await asyncio.wait_for(reader.read(), 5.0) == b""
        writer.close()
