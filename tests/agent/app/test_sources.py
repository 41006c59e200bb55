"""Which sources run: what discovery finds is followed, whenever it finds it."""

import asyncio

import pytest

from agent.app.sources import Sources, _Planned
from agent.catalog import agent as catalog
from agent.config.settings import Collectors, EngineInstance, Engines, Source
from agent.model import EMPTY_READING, SeriesTable
from agent.pipeline import Pipeline
from agent.runtime import Runtime
from collectors.engines.collector import EngineCollector
from tests.fakes.clock import ManualClock
from tests.fakes.collectors import NotedLog, ScriptedCollector


async def test_a_change_while_sources_are_replaced_is_not_lost(monkeypatch: pytest.MonkeyPatch):
    """What discovery finds while an old source is still being closed is followed right after."""
    table, clock = SeriesTable(), ManualClock()
    runtime = Runtime(Pipeline(table), clock=clock, interval=1.0, log=NotedLog())
    sources = Sources(runtime, table, clock)
    wanted: list[str] = ["a"]

    def plan() -> dict[str, _Planned]:
        return {
            name: _Planned(Source(), name, lambda name=name: ScriptedCollector(name, EMPTY_READING))
            for name in wanted
        }

    closing, closed = asyncio.Event(), asyncio.Event()
    remove = runtime.remove

    async def slow(name: str) -> None:
        closing.set()
        await closed.wait()
        await remove(name)

    monkeypatch.setattr(sources, "_plan", plan)
    monkeypatch.setattr(runtime, "remove", slow)
    settings = Collectors()
    monkeypatch.setattr(sources, "_make_discovery", lambda: asyncio.sleep(0))
    await sources.apply(settings)
    wanted[:] = ["b"]
    applying = asyncio.create_task(sources.apply(settings))
    await closing.wait()
    wanted[:] = ["b", "c"]
    sources._retarget()
    sources._retarget()
    closed.set()
    await applying
    assert sources._retargeting is not None
    await sources._retargeting
    assert {*runtime.pipeline.sources} == {"b", "c"}
    await sources.aclose()
    await runtime.aclose()


async def test_gpus_of_a_discovered_engine_follow_the_settings():
    """Its collector is told its GPUs by the name it was given, and is made anew when they change.

    Otherwise a reload would leave the engine where it was.
    """
    table, clock = SeriesTable(), ManualClock()
    runtime = Runtime(Pipeline(table), clock=clock, interval=1.0, log=NotedLog())
    sources = Sources(runtime, table, clock)
    instance = EngineInstance(name="vllm-8000", engine="vllm", url="http://127.0.0.1:8000")
    plans = []
    for gpus in ({}, {"vllm-8000": ("0", "1")}, {"vllm-8001": ("0", "1")}):
        sources._settings = Collectors(engines=Engines(gpus=gpus))
        plans.append(sources._plan_engine(instance))
    before, told, other = plans
    assert not told.same_as(before)
    assert other.key == before.key
    collector = told.build()
    assert isinstance(collector, EngineCollector)
    pinned = [table[number].labels[-1] for number, _value in collector._pins]
    assert pinned == ["0", "1"]
    await collector.aclose()


async def test_engines_that_the_configuration_names_are_said_to_be_so(
    monkeypatch: pytest.MonkeyPatch,
):
    """A rule tells them from those that were found; after a reload, those of the new settings."""
    table, clock = SeriesTable(), ManualClock()
    runtime = Runtime(Pipeline(table), clock=clock, interval=1.0, log=NotedLog())
    sources = Sources(runtime, table, clock)
    found = EngineInstance(name="vllm-9000", engine="vllm", url="http://127.0.0.1:9000")
    monkeypatch.setattr(sources, "_make_discovery", lambda: asyncio.sleep(0))
    monkeypatch.setattr(sources, "_plan", lambda: {"engine/vllm-9000": sources._plan_engine(found)})

    async def said(*names: str, enabled: bool = True) -> list[str]:
        url = "http://127.0.0.1:8000"
        named = tuple(EngineInstance(name=name, engine="vllm", url=url) for name in names)
        await sources.apply(Collectors(engines=Engines(enabled=enabled, instances=named)))
        series = [table[number] for number in runtime.own.reading().ids]
        return [one.labels[1] for one in series if one.metric is catalog.ENGINE_CONFIGURED]

    assert await said("a", "b") == ["a", "b"]
    assert await said("b") == ["b"]
    assert await said("b", enabled=False) == []
    await sources.aclose()
    await runtime.aclose()
