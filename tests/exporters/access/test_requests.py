"""Requests: who passes, who may change something, and what those learn who may not."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from exporters.access import Guard, changes_allowed
from exporters.access.passwords import Passwords
from tests.exporters.access.served import ALICE, LAX, served
from tests.exporters.access.test_passwords import RIGHT, Compared, basic
from tests.fakes.certificates import PASSWORD
from tests.fakes.clock import ManualClock

PATHS = ("/", "/metrics", "/metrics/engine/x", "/api/v1/engines", "/-/healthy", "/-/ready", "/no")


@pytest.mark.parametrize("path", PATHS)
async def test_without_a_password_nothing_is_told(tmp_path: Path, path: str):
    """Whatever is asked for, there or not, the answer is the same 401, and names no version."""
    async with served(tmp_path, ALICE) as endpoint:
        for header in ({}, {"Authorization": basic("alice", "no")}, {"Authorization": "Bearer x"}):
            status, text, headers = await endpoint.ask(path, **header)
            assert (status, text) == (401, "Unauthorized\n")
            assert headers.pop("WWW-Authenticate") == 'Basic realm="inferwatch", charset="UTF-8"'
            assert {*headers} == {
                "Content-Type",
                "Content-Length",
                "Date",
                "X-Content-Type-Options",
            }


async def test_with_the_password(tmp_path: Path):
    """With it everything is served, by the framework and without."""
    async with served(tmp_path, ALICE) as endpoint:
        for path, status in (("/metrics", 200), ("/-/ready", 200), ("/no", 404)):
            assert (await endpoint.ask(path, Authorization=RIGHT))[0] == status
        quick = await endpoint.ask(Authorization=RIGHT)
        slow = await endpoint.ask(Authorization=RIGHT, Range="none")
        assert quick[1] == slow[1]


async def test_a_kept_connection_is_judged_by_each_request(tmp_path: Path):
    """On one connection a wrong password fails where a right one passed, and the other way."""
    async with served(tmp_path, ALICE) as endpoint:
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        seen = []
        for header in (RIGHT, RIGHT, basic("alice", "no"), "", RIGHT):
            line = f"Authorization: {header}\r\n" if header else ""
            writer.write(f"GET /metrics HTTP/1.1\r\nHost: x\r\n{line}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.split("Content-Length: ")[1].split("\r\n")[0])
            await reader.readexactly(length)
            seen.append(int(head.split()[1]))
        writer.close()
    assert seen == [200, 200, 401, 401, 200]


async def test_scrapes_sent_at_once_are_each_judged(tmp_path: Path):
    """Of requests sent without waiting for answers none is lost, and none passes by another's."""
    async with served(tmp_path, ALICE) as endpoint:
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        plain = "GET /metrics HTTP/1.1\r\nHost: x\r\n"
        writer.write(f"{plain}Authorization: {RIGHT}\r\n\r\n".encode())
        await asyncio.sleep(0)
        writer.write(f"{plain}\r\n{plain}Connection: close\r\n\r\n".encode())
        text = (await reader.read()).decode()
        writer.close()
    assert text.count("HTTP/1.1 ") == 3
    assert text.count("HTTP/1.1 401") == 2


async def test_what_makes_no_sense_learns_no_version(tmp_path: Path):
    """A request that cannot be read is refused without the name of the framework."""
    async with served(tmp_path, ALICE) as endpoint:
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        writer.write(b"\x01\x02\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
    assert text.startswith("HTTP/1.0 400")
    assert "aiohttp" not in text
    assert "Python" not in text


async def test_headers_of_the_file(tmp_path: Path):
    """`http_server_config.headers` are on each answer: of the page, the framework, refusals."""
    text = ALICE + "http_server_config: {headers: {Strict-Transport-Security: max-age=1}}\n"
    async with served(tmp_path, text) as endpoint:
        for path, authorization in (("/metrics", RIGHT), ("/-/ready", RIGHT), ("/no", "")):
            _, _, headers = await endpoint.ask(path, Authorization=authorization)
            assert headers["Strict-Transport-Security"] == "max-age=1"


async def test_the_rate_limit(tmp_path: Path):
    """Beyond the burst requests are told to come back, before anybody looks at their password."""
    compare = Compared()
    passwords = Passwords(clock=ManualClock(), compare=compare)
    text = ALICE + "rate_limit: {interval: 1s, burst: 2}\n"
    async with served(tmp_path, text, passwords=passwords) as endpoint:
        found = [(await endpoint.ask(Authorization=basic("alice", str(n))))[0] for n in range(4)]
        assert found == [401, 401, 429, 429]
        assert len(compare.asked) == 2
        endpoint.agent.clock.advance(1.0)
        status, _, headers = await endpoint.ask(Authorization=RIGHT)
        assert status == 200
        status, _, headers = await endpoint.ask(Authorization=RIGHT)
        assert (status, headers["Retry-After"]) == (429, "1")


async def test_a_flood_of_guesses_is_turned_away(tmp_path: Path):
    """Guesses beyond what may wait are answered 429; whoever passed before is served meanwhile."""
    async with served(tmp_path, ALICE) as endpoint:
        assert (await endpoint.ask(Authorization=RIGHT))[0] == 200
        guesses = [endpoint.ask(Authorization=basic("alice", str(n))) for n in range(30)]
        *others, (status, _, _) = await asyncio.gather(*guesses, endpoint.ask(Authorization=RIGHT))
    assert status == 200
    found = [status for status, _, _ in others]
    assert {*found} <= {401, 429}
    assert found.count(429) > 0


async def test_reload_with_a_password(tmp_path: Path):
    """Where there are users, only they reload; a web page that sends theirs does not."""
    async with served(tmp_path, ALICE) as endpoint:

        async def reload(**headers: str) -> int:
            return (await endpoint.ask("/-/reload", method="POST", **headers))[0]

        assert await reload() == 401
        assert await reload(Authorization=RIGHT, Origin="http://localhost") == 403
        assert await reload(Authorization=RIGHT, Sec_Fetch_Site="same-origin") == 403
        assert endpoint.agent.reloads == 0
        assert await reload(Authorization=RIGHT) == 200
        assert await reload(Authorization=RIGHT, X_Forwarded_For="10.0.0.1") == 200
        assert endpoint.agent.reloads == 2


def _request(remote: str, **headers: str) -> web.Request:
    """Return a request to reload."""
    given = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return make_mocked_request("POST", "/-/reload", headers=given).clone(remote=remote)


@pytest.mark.parametrize("remote", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost:9745", "127.0.0.1:9745", "[::1]:9745", "LOCALHOST"])
def test_this_host_may_change_things(remote: str, host: str):
    """From loopback, in any notation, to a name of this host: a reload is allowed."""
    assert changes_allowed(_request(remote, Host=host), Guard(clock=ManualClock()))


def test_this_host_by_its_own_name(monkeypatch: pytest.MonkeyPatch):
    """The host's own name will do, short or with its domain."""
    monkeypatch.setattr("socket.gethostname", lambda: "gpu7.example.com")
    guard = Guard(clock=ManualClock())
    for host in ("gpu7:9745", "gpu7.example.com", "GPU7.example.com:9745"):
        assert changes_allowed(_request("127.0.0.1", Host=host), guard)
    assert not changes_allowed(_request("127.0.0.1", Host="gpu8"), guard)


@pytest.mark.parametrize(
    ("remote", "headers"),
    [
        ("10.0.0.7", {"Host": "localhost"}),
        ("::ffff:10.0.0.7", {"Host": "127.0.0.1:9745"}),
        ("10.0.0.7", {"Host": "localhost", "X_Forwarded_For": "127.0.0.1"}),
        ("", {"Host": "localhost"}),
        # A name that an attacker lets point to loopback.
        ("127.0.0.1", {"Host": "evil.example.com:9745"}),
        ("127.0.0.1", {"Host": "localhost.evil.example.com"}),
        ("127.0.0.1", {"Host": "[::1"}),
        ("127.0.0.1", {}),
        # A proxy on this host, that says for whom it asks.
        ("127.0.0.1", {"Host": "localhost", "X_Forwarded_For": "10.0.0.7"}),
        ("127.0.0.1", {"Host": "localhost", "Forwarded": "for=10.0.0.7"}),
        ("127.0.0.1", {"Host": "localhost", "X_Real_IP": "10.0.0.7"}),
        ("127.0.0.1", {"Host": "localhost", "Via": "1.1 proxy"}),
        # A web page in a browser on this host.
        ("127.0.0.1", {"Host": "localhost", "Origin": "https://evil.example.com"}),
        ("127.0.0.1", {"Host": "localhost", "Origin": "null"}),
        ("127.0.0.1", {"Host": "localhost", "Origin": "http://localhost:9745"}),
        ("127.0.0.1", {"Host": "localhost", "Sec_Fetch_Site": "cross-site"}),
        ("127.0.0.1", {"Host": "localhost", "Sec_Fetch_Mode": "no-cors"}),
    ],
)
def test_others_may_not(remote: str, headers: dict[str, str]):
    """Whoever is not surely on this host, or is a browser, changes nothing without a password."""
    assert not changes_allowed(_request(remote, **headers), Guard(clock=ManualClock()))


async def test_a_verified_certificate_may_change_things(tmp_path: Path):
    """A certificate that was verified stands for a password: it may come by another name."""
    async with served(tmp_path, LAX) as endpoint:
        shown, trusting = endpoint.showing("prometheus"), endpoint.trusting()
        for tls, status in ((shown, 200), (trusting, 403)):
            found = await endpoint.ask("/-/reload", method="POST", tls=tls, Host="elsewhere")
            assert found[0] == status


async def test_only_reload_changes_anything(tmp_path: Path):
    """Of all routes only reload takes what browsers call unsafe, but for queries in a body."""
    async with served(tmp_path, ALICE) as endpoint:
        routes = {
            (route.method, route.resource.canonical)
            for route in endpoint.api.application().router.routes()
            if route.resource is not None and route.method not in ("GET", "HEAD")
        }
    assert {path for _, path in routes if not path.startswith("/api/v1/")} == {"/-/reload"}
    assert PASSWORD not in str(routes)
