"""The live agent inside one event loop: what a reload may and may not do."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from structlog.testing import capture_logs

from agent.app.live import Agent
from agent.commands.record import without_services
from agent.config import EngineInstance, Settings, read_settings
from agent.config.receivers import AlertReceiver, AlertReceivers
from agent.config.settings import History, Incidents, Logging, LogLevel
from agent.model import ConfigError, RecordingError
from agent.recording import RecordingReader
from collectors.engines import ENGINES
from tests.fakes.alert_server import alert_server
from tests.fakes.engine_server import EngineServer

SOURCES = ("host", "processes", "kernel_log", "engine_ends", "nvml", "dcgm", "discovery")


def _settings(*ports: int, tick: str = "100ms") -> Settings:
    """Return settings without sources that listen on these ports."""
    listen = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    off = "\n".join(f"  {name}: {{enabled: false}}" for name in SOURCES)
    return read_settings(
        f"tick: {{interval: {tick}}}\nexporters: {{http_api: {{listen: [{listen}]}}}}\n"
        "history: {enabled: false}\nalerts: {enabled: false}\n"
        f"logging: {{level: error, format: json}}\ncollectors:\n{off}\n",
        "f",
        engines=ENGINES,
    )


class _Running:
    """An agent that runs, and what it will read at its next reload."""

    def __init__(self, settings: Settings) -> None:
        self.next: Callable[[], Settings] = lambda: settings
        self.agent = Agent(settings, read_settings=self._read)

    def _read(self) -> Settings:
        """Read the settings of the moment."""
        return self.next()

    async def page(self, port: int) -> str:
        """Return the page at a port."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/metrics") as answer,
        ):
            return await answer.text()

    async def wait_for(self, port: int, line: str) -> None:
        """Wait until the page at a port has a line."""
        await self._wait(port, lambda page: line in page.splitlines())

    async def wait_for_text(self, port: int, text: str) -> None:
        """Wait until the page at a port has a text somewhere."""
        await self._wait(port, lambda page: text in page)

    async def _wait(self, port: int, there: Callable[[str], bool]) -> None:
        """Wait until the page at a port is as it should be."""
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    if there(await self.page(port)):
                        return
                await asyncio.sleep(0.02)

    async def post_reload(self, port: int) -> int:
        """Ask for a reload and return the status of the answer."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{port}/-/reload") as answer,
        ):
            return answer.status


@contextlib.asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[_Running]:
    """Run an agent until the block ends; it has to be there still by then."""
    running = _Running(settings)
    task = asyncio.create_task(running.agent.run())
    port = settings.exporters.http_api.listen[0].port
    try:
        await running.wait_for(port, WELL)
        yield running
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


WELL = "inferwatch_config_last_reload_successful 1"
ILL = "inferwatch_config_last_reload_successful 0"


async def test_reloads_at_once_come_one_after_the_other():
    """Many reloads at the same time, each with another address, all succeed in turn."""
    home, ports = unused_port(), [unused_port() for _each in range(6)]
    async with _running(_settings(home)) as running:
        turns = iter(ports)
        running.next = lambda: _settings(home, next(turns))
        assert await asyncio.gather(*(running.post_reload(home) for _each in ports)) == [200] * 6
        assert WELL in await running.page(ports[-1])
        with pytest.raises(aiohttp.ClientConnectorError):
            await running.page(ports[0])


async def test_a_reload_that_fails_unexpectedly_is_not_the_last():
    """Whatever reading the settings raises, the metric says so and the next reload is heard."""
    port = unused_port()
    async with _running(_settings(port)) as running:

        def broken() -> Settings:
            raise RuntimeError("of no expected kind")

        for attempt in (running.agent.request_reload, None):
            running.next = broken
            if attempt is not None:
                attempt()
            else:
                assert await running.post_reload(port) == 500
            await running.wait_for(port, ILL)
            running.next = lambda: _settings(port)
            running.agent.request_reload()
            await running.wait_for(port, WELL)


async def test_a_refused_address_leaves_the_old_ones(monkeypatch: pytest.MonkeyPatch):
    """A new address that is taken is refused; the old ones are served on, by one restoration."""
    old, other = unused_port(), unused_port()
    taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    async with taken, _running(_settings(old)) as running:
        running.next = lambda: _settings(other, port)
        heard: list[object] = []
        listen = running.agent._api.listen

        async def counted(addresses: object, **others: object) -> None:
            heard.append(addresses)
            await listen(addresses, **others)  # type: ignore[arg-type]

        monkeypatch.setattr(running.agent._api, "listen", counted)
        with pytest.raises(ConfigError, match="cannot listen"):
            await running.agent.reload()
        await running.wait_for(old, ILL)
        assert len(heard) == 1
        with pytest.raises(aiohttp.ClientConnectorError):
            await running.page(other)


async def test_settings_that_cannot_be_used_are_taken_back(monkeypatch: pytest.MonkeyPatch):
    """Where the sources of new settings cannot be started, the old settings are used on."""
    old, new = unused_port(), unused_port()
    async with _running(_settings(old)) as running:
        apply, failures = running.agent._sources.apply, [OSError("no more processes")]

        async def broken(settings: object) -> None:
            if failures:
                raise failures.pop()
            await apply(settings)  # type: ignore[arg-type]

        monkeypatch.setattr(running.agent._sources, "apply", broken)
        running.next = lambda: _settings(new, tick="200ms")
        with pytest.raises(OSError, match="no more processes"):
            await running.agent.reload()
        await running.wait_for(old, ILL)
        assert running.agent._runtime.interval == 0.1
        with pytest.raises(aiohttp.ClientConnectorError):
            await running.page(new)


async def test_a_reload_may_name_other_receivers():
    """A receiver that a reload adds is told of what fires from then on."""
    port = unused_port()
    async with alert_server() as server, _running(_settings(port)) as running:
        told = AlertReceivers(receivers=(AlertReceiver(name="new", url=server.url),))
        settings = _settings(port)
        running.next = lambda: replace(
            settings, exporters=replace(settings.exporters, alertmanager=told)
        )
        assert await running.post_reload(port) == 200
        await running.wait_for(port, 'inferwatch_alerts_waiting{receiver="new"} 0')


async def test_what_waits_for_a_restart_is_said(capfd: pytest.CaptureFixture[str]):
    """A reload with another history or label is well, and the log names the keys."""
    port = unused_port()
    settings = replace(_settings(port), logging=Logging(level=LogLevel.WARNING))
    async with _running(settings) as running:
        assert await running.agent.reload() == ""
        running.next = lambda: replace(settings, labels=replace(settings.labels, job="other"))
        note = await running.agent.reload()
    assert note == "what has changed at labels.job waits for a restart"
    assert capfd.readouterr().err.count(note) == 1


async def test_a_longer_tick_is_no_silence():
    """After a reload with a longer interval, the page is judged by that interval."""
    port = unused_port()
    async with _running(_settings(port)) as running:
        running.next = lambda: _settings(port, tick="9s")
        await running.agent.reload()
        assert running.agent._views().interval() == 9.0


async def test_a_start_that_fails_leaves_no_recording(tmp_path: Path):
    """A recorder whose address is taken ends without a file, so that the next try can have it."""
    taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    settings = _settings(taken.sockets[0].getsockname()[1])
    path = tmp_path / "r"
    async with taken:
        agent = Agent(settings, read_settings=lambda: settings)
        agent.record_to(path, note="", scrub=False)
        with pytest.raises(ConfigError, match="cannot listen"):
            await agent.run()
    assert not path.exists()


async def test_an_agent_without_an_address_records(tmp_path: Path):
    """A recorder may serve nothing, and says nothing of an address; what it writes can be read."""
    settings = without_services(_settings(unused_port()), listen=())
    agent = Agent(settings, read_settings=lambda: settings)
    agent.record_to(tmp_path / "r", note="quiet", scrub=False)
    with capture_logs() as logged:
        await agent.run(duration=0.35)
    (begun,) = (entry for entry in logged if entry["event"] == "inferwatch is watching")
    assert not {"listen", "page"} & begun.keys()
    reader = RecordingReader(tmp_path / "r", agent._table)
    assert reader.header["note"] == "quiet"
    assert len(list(reader.ticks())) >= 3


async def test_a_file_that_cannot_be_written_ends_the_start(tmp_path: Path):
    """A recording in a folder that does not exist is refused, and the agent lets go of all."""
    settings = _settings(unused_port())
    agent = Agent(settings, read_settings=lambda: settings)
    agent.record_to(tmp_path / "none" / "r", note="", scrub=False)
    with pytest.raises(RecordingError, match="cannot be written"):
        await agent.run()


async def test_what_was_learned_outlives_the_agent(tmp_path: Path):
    """A run ends with what it learned in the state folder, and the next one takes it up."""
    server = EngineServer.vllm()
    await server.start()
    port = unused_port()
    settings = replace(
        _settings(port),
        history=History(path=tmp_path / "history.db"),
        incidents=Incidents(enabled=False),
    )
    instance = EngineInstance(name="chat", engine="vllm", url=server.url)
    engines = replace(settings.collectors.engines, instances=(instance,))
    settings = replace(settings, collectors=replace(settings.collectors, engines=engines))
    taken_up = 'inferwatch_events_total{kind="models_restored"} 1'
    try:
        async with _running(settings) as running:
            await running.wait_for_text(port, "inferwatch_engine_capacity_identifiable{")
            assert taken_up not in await running.page(port)
        (saved,) = json.loads((tmp_path / "learned.json").read_bytes())["replicas"]
        assert saved["replica"] == ["vllm", "chat", "tiny", "0"]
        assert saved["fingerprint"]["version"] == "0.32.0"
        async with _running(settings) as running:
            await running.wait_for_text(port, taken_up)
    finally:
        await server.aclose()
