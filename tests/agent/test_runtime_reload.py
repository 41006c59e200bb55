"""Sources that are replaced and removed while the agent runs."""

import asyncio

import pytest

from agent.config.settings import Source
from agent.runtime import CLOSE_LIMIT
from tests.agent.bench import KEY, QUICK, Bench, value_of, virtual
from tests.fakes.clock import run_virtual
from tests.fakes.collectors import (
    HangingCollector,
    NotedExporter,
    ScriptedCollector,
    UncancellableCollector,
    UnclosableCollector,
)


@virtual
async def test_other_settings_for_the_same_source_keep_it_going():
    """A reload with the same collector closes nothing, loses no value and starts no second look."""
    source = UncancellableCollector("a", value_of("x", 1.0))
    bench = Bench(source)
    await bench.ticks(1)
    bench.runtime.add(source, Source(interval=2.0, timeout=1.0, stale_after=9.0))
    await bench.ticks(2)
    assert (source.closed, source.most_running) == (0, 1)
    source.release()
    pages = await bench.ticks(2)
    assert KEY % "x" in pages[-1]
    assert bench.runtime.pipeline.sources["a"].spec.stale_after == 9.0


@virtual
async def test_a_replacement_takes_the_place_of_the_old_source():
    """A new collector of the same name wins where the old one won; the old one is closed."""
    first, later = (
        ScriptedCollector("a", value_of("x", 1.0)),
        ScriptedCollector("b", value_of("x", 2.0)),
    )
    bench = Bench(first, later)
    await bench.ticks(1)
    bench.runtime.add(ScriptedCollector("a", value_of("x", 3.0), delay=0.7), QUICK)
    pages = await bench.ticks(3)
    assert [page[KEY % "x"] for page in pages] == [1.0, 3.0, 3.0]
    assert first.closed == 1


@virtual
async def test_removing_a_source_cancels_closes_and_forgets_it():
    """A removed source ends its look, is closed, and is gone from the next frame."""
    source = HangingCollector("a", value_of("x", 1.0))
    bench = Bench(source)
    await bench.ticks(2)
    await bench.runtime.remove("a")
    await bench.runtime.remove("a")
    assert (source.running, source.closed) == (0, 1)
    (page,) = await bench.ticks(1)
    assert not [key for key in page if '"a"' in key]


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (RuntimeError("busy"), "cannot be closed: busy"),
        (
            asyncio.CancelledError(),
            "cannot be closed: was cancelled by something that it waited for",
        ),
        (None, f"cannot be closed within {CLOSE_LIMIT:g}s"),
    ],
)
def test_a_source_that_cannot_be_closed(problem: BaseException | None, told: str):
    """Closing is bounded and its failure is told; the other sources and exporters are closed."""

    async def main() -> None:
        source = UnclosableCollector("a", value_of("x", 1.0), problem=problem)
        other = ScriptedCollector("b", value_of("y", 1.0))
        bench = Bench(source, other)
        broken = NotedExporter("broken", RuntimeError("full"))
        bench.runtime.exporters.insert(0, broken)
        await bench.ticks(1)
        await bench.runtime.aclose()
        await bench.runtime.aclose()
        assert (source.closed, other.closed, broken.closed, bench.exporter.closed) == (1, 1, 1, 1)
        assert bench.log.errors("a") == [told]
        assert bench.log.exporters[-1] == ("broken", "cannot be closed: full")

    run_virtual(main())
