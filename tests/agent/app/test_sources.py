"""Which sources run: what discovery finds is followed, whenever it finds it."""

import asyncio

import pytest

from agent.app.sources import Sources, _Planned
from agent.config.settings import Collectors, Source
from agent.model import EMPTY_READING, SeriesTable
from agent.pipeline import Pipeline
from agent.runtime import Runtime
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
