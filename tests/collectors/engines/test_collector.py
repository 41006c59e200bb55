"""A real HTTP server on loopback answers, well or badly, and each outcome is as documented."""

import asyncio
import base64
import math
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
import trustme

from agent import http_client
from agent.config import EngineInstance, Secret
from agent.config.settings import BasicAuth, Tls
from agent.model import Reading, SeriesTable, SourceError
from collectors.engines import ENGINES
from collectors.engines.collector import EngineCollector
from collectors.engines.facts import REFRESH_INTERVAL
from collectors.engines.process import EngineProcess
from collectors.engines.profile import Fact
from collectors.openmetrics import PageError
from tests.fakes import engine_server as fake
from tests.fakes.clock import ManualClock
from tests.fakes.engine_server import EngineServer, capture, changed
from tests.fakes.samples import samples

GOLDEN = Path(__file__).parents[2] / "golden" / "engines"
PAGE = capture("vllm-04-saturated.prom")
LIMIT = 1 << 20
RUNNING = 'engine_requests_running{engine="vllm",instance_name="chat",model_name="tiny",rank="0"}'


class Watched:
    """One engine as the agent sees it."""

    def __init__(
        self,
        instance: EngineInstance,
        *,
        process_of: Callable[[EngineInstance], EngineProcess | None] = lambda _instance: None,
        gpus: Sequence[str] = (),
    ) -> None:
        self.table = SeriesTable()
        self.clock = ManualClock()
        self.collector = EngineCollector(
            instance,
            engine=ENGINES[instance.engine],
            table=self.table,
            clock=self.clock,
            max_page_size=LIMIT,
            process_of=process_of,
            gpus=gpus,
        )

    async def look(self) -> dict[str, float]:
        """Return the samples of one look."""
        return samples(self.table, await self.collector.collect())

    async def kinds(self) -> list[str]:
        """Return the kinds of the events of one look."""
        return [event.kind for event in (await self.collector.collect()).events]


Watch = Callable[..., Awaitable[Watched]]


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    """Start servers and collectors that end with the test."""
    servers: list[EngineServer] = []
    watched: list[Watched] = []

    async def start(
        server: EngineServer, *, engine: str = "vllm", path: str = "", **options: object
    ) -> Watched:
        if not server.url:
            await server.start()
        servers.append(server)
        process_of = options.pop("process_of", lambda _instance: None)
        gpus = options.pop("gpus", ())
        instance = EngineInstance(name="chat", engine=engine, url=server.url + path, **options)  # type: ignore[arg-type]
        watched.append(Watched(instance, process_of=process_of, gpus=gpus))  # type: ignore[arg-type]
        return watched[-1]

    yield start
    for one in watched:
        await one.collector.aclose()
        await one.collector.aclose()
    for server in servers:
        await server.aclose()


# --- what a good engine gives ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("vllm-01-idle-before-first-request", "vllm"),
        ("vllm-04-saturated", "vllm"),
        ("vllm-08-dp2", "vllm"),
        ("vllm-09-apiservers2", "vllm"),
        ("llama-02-loaded", "llamacpp"),
        ("llama-03-saturated", "llamacpp"),
    ],
)
async def test_a_captured_engine_gives_the_expected_samples(
    watch: Watch, name: str, engine: str
) -> None:
    """All samples but buckets, which have a test of their own, are those in the golden file."""
    server = EngineServer.vllm(f"{name}.prom") if engine == "vllm" else EngineServer.llamacpp(name)
    found = await (await watch(server, engine=engine)).look()
    lines = [f"{key} {value}" for key, value in found.items() if "_bucket{" not in key]
    assert "".join(f"{line}\n" for line in lines) == (GOLDEN / f"{name}.txt").read_text()


async def test_the_series_are_the_same_list_while_they_stand(watch: Watch) -> None:
    """Numbers change, the list of series is the same object."""
    server = EngineServer.vllm()
    one = await watch(server)
    first = await one.collector.collect()
    server.documents["/metrics"] = changed(PAGE, num_requests_running=7)
    second = await one.collector.collect()
    assert second.ids is first.ids
    assert samples(one.table, second)[RUNNING] == 7


async def test_a_page_is_asked_for_plainly(watch: Watch) -> None:
    """The text format of Prometheus, not OpenMetrics, and not compressed."""
    server = EngineServer.vllm()
    await (await watch(server)).look()
    assert server.headers[0]["Accept"] == "text/plain;version=0.0.4"
    assert server.headers[0]["Accept-Encoding"] == "identity"
    assert "Authorization" not in server.headers[0]


async def test_the_original_page_is_kept(watch: Watch) -> None:
    """Byte for byte, for those who need the engine's own names; a bad page does not replace it."""
    server = EngineServer.vllm()
    one = await watch(server)
    assert one.collector.last_page is None
    await one.look()
    assert one.collector.last_page == PAGE
    assert one.collector.last_content_type.startswith("text/plain")
    server.documents["/metrics"] = b"<html></html>\n"
    with pytest.raises(PageError):
        await one.look()
    assert one.collector.last_page == PAGE


async def test_a_family_that_is_not_there_yet_is_unknown(watch: Watch) -> None:
    """Before the first request there are no HTTP answers, rather than zero of them."""
    one = await watch(EngineServer.vllm("vllm-01-idle-before-first-request.prom"))
    assert not [name for name in await one.look() if name.startswith("engine_http")]


@pytest.mark.parametrize("none", [float("nan"), float("inf"), float("-inf")])
async def test_not_a_number_is_left_out(watch: Watch, none: float) -> None:
    """An engine that writes NaN does not know, nor one whose count has no end; the rest counts."""
    server = EngineServer.vllm()
    one = await watch(server)
    before = await one.look()
    server.documents["/metrics"] = changed(PAGE, num_requests_running=none)
    found = await one.look()
    assert before.keys() - found.keys() == {RUNNING}
    assert all(math.isfinite(value) for value in found.values())


async def test_a_page_of_most_of_a_megabyte_is_read(watch: Watch) -> None:
    """Lines that nobody wants are passed over, whatever their number."""
    more = b"".join(b'another_family{number="%d"} 1\n' % number for number in range(19_000))
    server = EngineServer.vllm()
    server.documents["/metrics"] = PAGE + more
    assert len(PAGE + more) > LIMIT / 2
    assert (await (await watch(server)).look())[RUNNING] == 6


# --- facts -----------------------------------------------------------------------------------


async def test_facts_are_asked_for_rarely(watch: Watch) -> None:
    """On the first look, and then every five minutes."""
    server = EngineServer.vllm()
    one = await watch(server)
    await one.look()
    await one.look()
    assert server.requests.count("/version") == 1
    one.clock.advance(REFRESH_INTERVAL)
    await one.look()
    assert server.requests.count("/version") == 2


async def test_a_missing_fact_is_not_an_error_and_not_asked_for_again(watch: Watch) -> None:
    """A server without an endpoint has none until it is restarted."""
    server = EngineServer({"/metrics": PAGE})
    one = await watch(server)
    found = await one.look()
    assert found[RUNNING] == 6
    assert "engine_max_model_len_tokens" not in str(found)
    one.clock.advance(REFRESH_INTERVAL)
    await one.look()
    assert server.requests.count("/version") == 1
    server.documents["/metrics"] = changed(PAGE, process_start_time_seconds=1795249999)
    server.documents["/version"] = b'{"version": "9"}'
    await one.look()
    await one.look()
    assert server.requests.count("/version") == 2


async def test_a_fact_endpoint_that_hangs_costs_one_look(watch: Watch) -> None:
    """The look that was stopped while it waited for a fact is the last to ask for it."""
    server = EngineServer.vllm()
    server.behaviours["/version"] = fake.hang()
    one = await watch(server)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.look(), 0.2)
    assert (await asyncio.wait_for(one.look(), 5))[RUNNING] == 6
    assert server.requests.count("/version") == 1


@pytest.mark.parametrize("answer", [b"no json", b"[]", b'{"version": {"major": 1}}', b"null"])
async def test_a_fact_of_another_shape_is_unknown(watch: Watch, answer: bytes) -> None:
    """The document may change between releases; nothing is made up."""
    server = EngineServer.vllm()
    server.documents["/version"] = answer
    found = await (await watch(server)).look()
    assert "version=" not in "".join(found)
    assert 'model="/srv/models/tiny-model"' in "".join(found)


async def test_the_command_line_adds_what_the_engine_does_not_say(watch: Watch) -> None:
    """Limits come from the flags; what the running engine answers wins over them."""
    process = EngineProcess(
        engine=ENGINES["vllm"],
        pid=7,
        start_time=5.0,
        facts={Fact.MAX_NUM_SEQS: "64", Fact.MAX_MODEL_LEN: "9", Fact.DTYPE: "bfloat16"},
    )
    one = await watch(EngineServer.vllm(), process_of=lambda _instance: process)
    found = await one.look()
    labels = '{engine="vllm",instance_name="chat"}'
    assert found[f"engine_max_num_seqs{labels}"] == 64
    assert found[f"engine_max_model_len_tokens{labels}"] == 2048
    assert 'dtype="bfloat16"' in "".join(found)


async def test_gpus_of_the_configuration(watch: Watch) -> None:
    """What the configuration says of its GPUs is among the samples of an engine, each once."""
    found = await (await watch(EngineServer.vllm(), gpus=("0", "GPU-a", "0"))).look()
    pinned = [name for name in found if name.startswith("engine_gpu_pinned_info")]
    labels = 'engine="vllm",instance_name="chat",device='
    assert pinned == [f'engine_gpu_pinned_info{{{labels}"{gpu}"}}' for gpu in ("0", "GPU-a")]


async def test_the_files_of_a_model(watch: Watch, tmp_path: Path) -> None:
    """The size of the weights and of a token follow from the folder on the command line."""
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    (tmp_path / "config.json").write_text(
        '{"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, '
        '"torch_dtype": "bfloat16"}'
    )
    facts = {Fact.MODEL: str(tmp_path)}
    process = EngineProcess(engine=ENGINES["vllm"], pid=2**22 + 1, start_time=5.0, facts=facts)
    one = await watch(EngineServer.vllm(), process_of=lambda _instance: process)
    labels = '{engine="vllm",instance_name="chat"}'
    assert f"engine_weights_bytes{labels}" not in await one.look()
    reading = one.collector._model.thread
    assert reading is not None
    reading.join(10)
    found = await one.look()
    assert found[f"engine_weights_bytes{labels}"] == 1000
    assert found[f"engine_kv_cache_token_bytes{labels}"] == 2 * 2 * 64 * 2


async def test_slots_that_share_one_cache_are_not_added_up(watch: Watch) -> None:
    """A llama-server that chose the number of its slots lets each use the whole cache."""
    facts: dict[Fact, str] = {}
    process = EngineProcess(engine=ENGINES["llamacpp"], pid=7, start_time=5.0, facts=facts)
    server = EngineServer.llamacpp()
    one = await watch(server, engine="llamacpp", process_of=lambda _instance: process)
    capacity = next(value for name, value in (await one.look()).items() if "capacity" in name)
    assert capacity == 1024
    facts[Fact.MAX_NUM_SEQS] = "4"
    capacity = next(value for name, value in (await one.look()).items() if "capacity" in name)
    assert capacity == 4096


async def test_a_llama_server_without_slots_has_no_kv_use(watch: Watch) -> None:
    """`--no-slots` answers 501; the page alone is enough."""
    server = EngineServer.llamacpp()
    server.behaviours["/slots"] = fake.status(501)
    one = await watch(server, engine="llamacpp")
    assert not [name for name in await one.look() if "kv_cache" in name]
    await one.look()
    assert server.requests.count("/slots") == 1


async def test_what_an_old_llama_server_says_on_its_page_counts(watch: Watch) -> None:
    """Older releases have KV use on the page and in the slots: one series, not two."""
    server = EngineServer.llamacpp()
    server.documents["/metrics"] += b"llamacpp:kv_cache_usage_ratio 0.125\n"
    found = await (await watch(server, engine="llamacpp")).look()
    assert [value for name, value in found.items() if "kv_cache_usage_ratio" in name] == [0.125]


# --- restarts --------------------------------------------------------------------------------


async def test_a_restart_is_said_once_and_facts_are_read_anew(watch: Watch) -> None:
    """A new start time on the page is a restart; the version may be another."""
    server = EngineServer.vllm()
    one = await watch(server)
    assert await one.kinds() == []
    server.documents["/metrics"] = capture("vllm-01-idle-before-first-request.prom")
    server.documents["/version"] = b'{"version": "0.33.0"}'
    reading = await one.collector.collect()
    (event,) = reading.events
    assert (event.kind, event.source, event.time) == (
        "engine_restarted",
        "engine/chat",
        one.clock.time(),
    )
    assert event.labels == {"engine": "vllm", "instance_name": "chat"}
    assert 'version="0.33.0"' in "".join(await one.look())
    assert await one.kinds() == []


async def test_counters_that_fall_alone_are_a_reset(watch: Watch) -> None:
    """The server did not restart: it says when it started."""
    server = EngineServer.vllm()
    one = await watch(server)
    await one.look()
    server.documents["/metrics"] = changed(PAGE, generation_tokens_total=1)
    assert await one.kinds() == ["engine_counters_reset"]
    assert await one.kinds() == []


async def test_a_restart_is_seen_without_a_start_time(watch: Watch) -> None:
    """With two API servers the page has none; counters that fall must do."""
    page = capture("vllm-09-apiservers2.prom")
    server = EngineServer.vllm("vllm-09-apiservers2.prom")
    one = await watch(server)
    await one.look()
    server.documents["/metrics"] = changed(page, generation_tokens_total=0)
    assert await one.kinds() == ["engine_restarted"]


async def test_a_restart_of_llama_server_is_seen_in_its_header(watch: Watch) -> None:
    """Its header is no time, but changes with every start, before any counter could fall."""
    server = EngineServer.llamacpp("llama-01-idle")
    one = await watch(server, engine="llamacpp")
    assert await one.kinds() == []
    server.extra_headers["Process-Start-Time-Unix"] = "9998305329"
    assert await one.kinds() == ["engine_restarted"]
    assert server.requests.count("/props") == 2
    assert await one.kinds() == []


async def test_a_restart_noticed_by_a_look_that_failed_is_told_by_the_next(watch: Watch) -> None:
    """Neither a time limit nor a bad page makes a restart go untold."""
    server = EngineServer.llamacpp("llama-01-idle")
    one = await watch(server, engine="llamacpp")
    await one.look()
    page = server.documents["/metrics"]
    server.extra_headers["Process-Start-Time-Unix"] = "9998305329"
    server.documents["/metrics"] = b"<html></html>\n"
    with pytest.raises(PageError):
        await one.look()
    server.documents["/metrics"] = page
    server.behaviours["/slots"] = fake.hang()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.look(), 0.2)
    assert await one.kinds() == ["engine_restarted"]
    assert await one.kinds() == []


# --- what goes wrong -------------------------------------------------------------------------


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


# --- how it is reached -----------------------------------------------------------------------


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
    hung = secret(tmp_path, "late")
    real = http_client.credentials

    def credentials(token: Secret | None, basic: BasicAuth | None) -> dict[str, str]:
        if token is hung:
            released.wait(30)
        return real(token, basic)

    monkeypatch.setattr(http_client, "credentials", credentials)
    (tmp_path / "other").mkdir()
    one = await watch(EngineServer.vllm(), bearer_token=hung)
    other = await watch(EngineServer.vllm(), bearer_token=secret(tmp_path / "other", "soon"))
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await one.look()
        assert (await other.look())[RUNNING] == 6
    assert sum(thread.name == "secrets" for thread in threading.enumerate()) <= 2
    released.set()
    assert (await asyncio.wait_for(one.look(), 10))[RUNNING] == 6


async def test_a_document_nested_without_end_costs_only_its_facts(watch: Watch) -> None:
    """JSON that Python cannot read is no JSON; the page is read all the same."""
    server = EngineServer.vllm()
    server.documents["/version"] = b"[" * 100_000
    assert (await (await watch(server)).look())[RUNNING] == 6
