"""Pages that cannot be had."""

import asyncio
import socket
from dataclasses import replace

import pytest

from agent.model import SourceError
from tests.collectors.engines.watching import LIMIT, PAGE, RUNNING, Watch, Watched
from tests.fakes import engine_server as fake
from tests.fakes.engine_server import EngineServer


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (fake.status(404), "answered with 404.*is this vLLM's address"),
        (fake.status(401), "401.*set bearer_token or basic_auth"),
        (fake.status(403), "403.*set bearer_token or basic_auth"),
        (fake.status(500), "answered with 500"),
        (fake.status(503), "503.*still loading"),
        (fake.status(302, Location="/base/metrics"), r"set url to http://127\.0\.0\.1:\d+/base$"),
        (
            fake.status(308, Location="https://h:8443/metrics?key=secret"),
            r"set url to https://h:8443$",
        ),
        (fake.status(307), "307.*set url to the address that it redirects to"),
        (
            fake.status(307, Location="/metrics/"),
            r"redirects to /metrics/, which is not followed; have it answer at /metrics itself$",
        ),
        (fake.body(b"<html><body>hi</body></html>\n"), "this is HTML"),
        (fake.body(b'{"object": "list"}'), "this is JSON"),
        (fake.body(b"node_load1 5\n"), "nothing of vLLM"),
        (fake.body(b""), "nothing of vLLM"),
        (fake.body(b"vllm:num_requests_running x\n"), "line 1"),
        (fake.cut(PAGE, at=20_000, announced=True), "cut off"),
        (fake.cut(PAGE, at=20_000, announced=False), "cut off"),
        (fake.body(b"#" * LIMIT + b"\n"), "longer than 1048576 bytes.*max_page_size"),
        (fake.zipped(b"#" * LIMIT + b"\n"), "longer than 1048576 bytes"),
        (fake.drop(9, PAGE), "failed: Server disconnected"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_page_that_cannot_be_had_is_an_error_that_says_why(
    watch: Watch, behaviour: fake.Behaviour, message: str
) -> None:
    """One sentence says what came and what to do; the next good page is read as ever."""
    server = EngineServer.vllm()
    one = await watch(server)
    server.behaviours["/metrics"] = behaviour
    with pytest.raises(SourceError, match=message):
        await one.look()
    del server.behaviours["/metrics"]
    assert (await one.look())[RUNNING] == 6


@pytest.mark.parametrize(("path", "asked"), [("/v1", "/v1/metrics"), ("/metrics", "/metrics/met")])
async def test_a_path_too_many_in_the_address_is_seen(watch: Watch, path: str, asked: str) -> None:
    """Whoever gives the address of the API, or of the page, reads which path was asked for."""
    one = await watch(EngineServer.vllm(), path=path)
    with pytest.raises(SourceError, match=f"^{asked}.* 404.*url ends in {path}.* this vLLM's addr"):
        await one.look()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", r"failed: Server disconnected; does it speak https\?$"),
        (b"\x15\x03\x01\x00\x02\x02\x28\n", r"failed: Bad status line: .*; does it speak https\?$"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\n\r\n", "failed: Got more than 8190 bytes"),
    ],
    ids=["nothing", "a TLS alert", "a header without end"],
)
async def test_an_answer_that_is_none_is_said_in_one_line(
    watch: Watch, answer: bytes, message: str
) -> None:
    """Such as that of a server with TLS to whoever forgot the s of https."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()

    server = EngineServer.vllm()
    one = await watch(server)
    async with await asyncio.start_server(speak, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        instance = replace(one.collector.instance, url=f"http://127.0.0.1:{port}")
        client = Watched(instance)
        with pytest.raises(SourceError, match=message) as raised:
            await client.look()
        await client.collector.aclose()
    assert str(raised.value).isprintable()


async def test_a_page_without_an_announced_length_has_a_limit_too(watch: Watch) -> None:
    """An endless answer is left as soon as it is too long."""

    async def endless(request: fake.web.Request) -> fake.web.StreamResponse:
        response = fake.web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"# more\n" * 10_000)
        except ConnectionError:
            return response

    server = EngineServer.vllm()
    server.behaviours["/metrics"] = endless
    with pytest.raises(SourceError, match="longer than"):
        await (await watch(server)).look()


async def test_llama_server_without_metrics_says_how_to_have_them(watch: Watch) -> None:
    """Its page is off by default and answered with 501."""
    server = EngineServer.llamacpp()
    server.behaviours["/metrics"] = fake.status(501)
    with pytest.raises(SourceError, match=r"501.*start llama-server with --metrics"):
        await (await watch(server, engine="llamacpp")).look()


async def test_an_engine_that_does_not_listen_is_refused(watch: Watch) -> None:
    """Nothing listens: the address is in the message, and a later start is found."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = EngineServer.vllm()
    server.url = f"http://127.0.0.1:{port}"
    one = await watch(server)
    with pytest.raises(SourceError, match=rf"cannot connect to http://127\.0\.0\.1:{port}: .+"):
        await one.look()


async def test_a_slow_page_can_be_given_up(watch: Watch) -> None:
    """The time limit is the caller's; afterwards the engine is asked again as if new."""
    server = EngineServer.vllm()
    one = await watch(server)
    server.behaviours["/metrics"] = fake.hang()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.look(), 0.1)
    del server.behaviours["/metrics"]
    assert (await one.look())[RUNNING] == 6


async def test_a_compressed_page_is_read_though_not_asked_for(watch: Watch) -> None:
    """A proxy may compress in spite of the request."""
    server = EngineServer.vllm()
    server.behaviours["/metrics"] = fake.zipped(PAGE)
    one = await watch(server)
    assert (await one.look())[RUNNING] == 6
    assert one.collector.last_page == PAGE


async def test_a_dropped_connection_is_tried_once_more(watch: Watch) -> None:
    """A kept connection that the server closes as it is used is not a failure."""
    server = EngineServer.vllm()
    one = await watch(server)
    await one.look()
    server.behaviours["/metrics"] = fake.drop(1, PAGE)
    assert (await one.look())[RUNNING] == 6
