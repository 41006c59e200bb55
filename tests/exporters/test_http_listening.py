"""The HTTP endpoint: where it listens, and that it ends when told."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import unused_port

from agent.config import Listen
from agent.model import ConfigError
from exporters.http_api import EnginePage
from tests.exporters.asked_agent import AskedAgent


@pytest.fixture
def agent() -> AskedAgent:
    """Return an agent without a tick."""
    return AskedAgent()


async def _get(address: str) -> int:
    """Return the status of the health page at an address, 0 where nobody listens."""
    async with ClientSession() as session:
        try:
            async with session.get(f"http://{address}/-/healthy") as response:
                return response.status
        except OSError:
            return 0


async def test_listening_on_exactly_these_addresses(agent: AskedAgent):
    """A second call opens what is new, closes what is gone, and leaves the rest alone."""
    first, second, third = (Listen("127.0.0.1", unused_port()) for _ in range(3))
    await agent.api.listen([first, second])
    await agent.api.listen([second, third])
    assert [await _get(str(each)) for each in (first, second, third)] == [0, 200, 200]
    await agent.api.aclose()
    await agent.api.aclose()
    assert await _get(str(second)) == 0


@pytest.mark.parametrize(("length", "status"), [(196_608, 404), (300_000, 400)])
async def test_a_long_query_fits_into_an_address(agent: AskedAgent, length: int, status: int):
    """By GET the longest query, all its characters escaped, is read; what is longer is refused.

    Grafana asks for the values of a label by GET alone, and for all else where it is told to.
    """
    where = Listen("127.0.0.1", unused_port())
    await agent.api.listen([where])
    path = b"/api/v1/none?query=" + b"%7b" * (length // 3)
    reader, writer = await asyncio.open_connection("127.0.0.1", where.port)
    writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert int((await reader.readline()).split()[1]) == status
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    await agent.api.aclose()


async def test_the_same_port_of_another_address(agent: AskedAgent):
    """A reload may move from one address to all addresses of the same port, and back."""
    port = unused_port()
    for host in ("127.0.0.1", "", "127.0.0.1"):
        await agent.api.listen([Listen(host, port)])
        assert await _get(f"127.0.0.1:{port}") == 200
    await agent.api.aclose()


async def test_an_address_in_use_leaves_the_old_ones(agent: AskedAgent):
    """When one new address cannot be had, all is as it was before, and the message names it."""
    old, fresh = (Listen("127.0.0.1", unused_port()) for _ in range(2))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bad = Listen("127.0.0.1", taken.getsockname()[1])
        await agent.api.listen([old])
        with pytest.raises(ConfigError, match=f"cannot listen on {bad}.*exporters.http_api.listen"):
            await agent.api.listen([fresh, bad])
        assert [await _get(str(each)) for each in (old, fresh)] == [200, 0]
    await agent.api.aclose()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_address_that_is_not_of_this_host(agent: AskedAgent, host: str):
    """Another host's address, or a name without one, is refused by its name."""
    with pytest.raises(ConfigError, match=f"cannot listen on {host}:9745"):
        await agent.api.listen([Listen(host, 9745)])
    await agent.api.aclose()


async def _closing(agent: AskedAgent, talk: Callable[[socket.socket], None]) -> float:
    """Return how long closing takes while a client is connected that did this."""
    port = unused_port()
    await agent.api.listen([Listen("127.0.0.1", port)])
    loop = asyncio.get_running_loop()
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", port))
        talk(reader)
        await asyncio.sleep(0.05)
        begun = loop.time()
        await agent.api.aclose()
        took = loop.time() - begun
        with contextlib.suppress(ConnectionError):
            reader.shutdown(socket.SHUT_RDWR)
    return took


async def test_closing_with_a_slow_reader(agent: AskedAgent):
    """A client that asked for megabytes and reads none of them does not hold the agent up."""
    agent.pages = {"big": EnginePage(body=b"x" * 16_000_000, content_type="text/plain")}
    request = b"GET /metrics/engine/big HTTP/1.1\r\nHost: x\r\n\r\n"
    assert await _closing(agent, lambda reader: reader.sendall(request)) < 2.0


@pytest.mark.parametrize(
    "said", [b"", b"GET /metr", b"POST /-/reload HTTP/1.1\r\nContent-Length: 9"]
)
async def test_closing_with_an_idle_client(agent: AskedAgent, said: bytes):
    """A client that is connected and says nothing, or half a request, does not either."""
    assert await _closing(agent, lambda reader: reader.sendall(said)) < 2.0


async def test_closing_without_listening(agent: AskedAgent):
    """What never listened can be closed."""
    await agent.api.aclose()
