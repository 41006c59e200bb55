"""A real HTTP server on loopback answers, well or badly, and each outcome is as documented."""

import asyncio
import math
import re
from pathlib import Path

import pytest

from collectors.openmetrics import PageError
from tests.collectors.engines.watching import LIMIT, PAGE, RUNNING, Watch
from tests.fakes import engine_server as fake
from tests.fakes.engine_server import EngineServer, capture, changed
from tests.fakes.samples import samples

GOLDEN = Path(__file__).parents[2] / "golden" / "engines"


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


@pytest.mark.parametrize("none", ["NaN", "+Inf", "-Inf", "1e308"])
async def test_a_page_of_nothing_but_odd_values_is_read(watch: Watch, none: str) -> None:
    """Whatever value is no number or beyond all others, the source is up, not restarted."""
    server = EngineServer.vllm()
    one = await watch(server)
    server.documents["/metrics"] = re.sub(rb"(?m)^([^#].*) \S+$", rb"\1 " + none.encode(), PAGE)
    for _look in range(3):
        assert all(math.isfinite(value) for value in (await one.look()).values())
    assert await one.kinds() == []
    server.documents["/metrics"] = PAGE
    await one.look()
    assert all(math.isfinite(value) for value in (await one.look()).values())
    assert "engine_requests_abandoned_total" in " ".join(await one.look())


async def test_a_page_of_most_of_a_megabyte_is_read(watch: Watch) -> None:
    """Lines that nobody wants are passed over, whatever their number."""
    more = b"".join(b'another_family{number="%d"} 1\n' % number for number in range(19_000))
    server = EngineServer.vllm()
    server.documents["/metrics"] = PAGE + more
    assert len(PAGE + more) > LIMIT / 2
    assert (await (await watch(server)).look())[RUNNING] == 6


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


async def test_long_label_values_are_said_once(watch: Watch) -> None:
    """How many series are meant, and again only when there are more; facts are as short."""
    server = EngineServer.vllm()
    long = b"m" * 2000  # the page is no longer than one may be
    server.documents["/metrics"] = PAGE.replace(b'model_name="tiny"', b'model_name="' + long + b'"')
    server.documents["/version"] = b'{"version": "' + long + b'"}'
    one = await watch(server)
    reading = await one.collector.collect()
    (event,) = reading.events
    assert (event.kind, event.labels) == (
        "labels_cut",
        {"engine": "vllm", "instance_name": "chat"},
    )
    assert int(event.message.split()[0]) > 10
    assert "m" * 300 not in "".join(await one.look())
    assert await one.kinds() == []
