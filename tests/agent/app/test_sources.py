"""Which sources run: what discovery finds is followed, whenever it finds it."""

import asyncio

import pytest

from agent.app.sources import Sources, _Planned
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
