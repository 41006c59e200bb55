"""What sources, exporters and clocks do wrong costs nobody else."""

import asyncio

import pytest

from agent.config.settings import Source
from agent.model import (
    Reading,
    SourceError,
    UnavailableError,
)
from agent.runtime import CLOSE_LIMIT, PATIENCE_LIMIT
from tests.agent.bench import KEY, Bench, value_of, virtual
from tests.fakes.clock import run_virtual
from tests.fakes.collectors import (
    HangingCollector,
    NotedExporter,
    ScriptedCollector,
    UncancellableCollector,
)


@virtual
async def test_a_hung_source_is_down_after_its_timeout_and_its_values_leave():
    """A look without answer fails at its timeout; what was read before leaves when it is stale."""
    source = ScriptedCollector("a", value_of("x", 1.0))
    bench = Bench(source, ScriptedCollector("b", value_of("y", 1.0)))
    await bench.ticks(2)
    source.delay = 1e9
    pages = await bench.ticks(8)
    up = [page['source_up{source="a"}'] for page in pages]
    assert up == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert [KEY % "x" in page for page in pages] == [True, True, True, *[False] * 5]
    assert all(KEY % "y" in page for page in pages)
    assert set(bench.log.errors("a")) == {"gave no answer within 1s"}
    assert pages[-1]['source_duration_seconds{source="a"}'] == pytest.approx(1.0)
    source.delay = 0.0
    assert (await bench.ticks(3))[-1]['source_up{source="a"}'] == 1.0


@virtual
async def test_a_source_that_cannot_be_cancelled_is_down_from_its_first_look():
    """A source that resists its cancellation is down and counted once, and is left alone."""
    source = UncancellableCollector("a", value_of("x", 1.0))
    bench = Bench(source, ScriptedCollector("b", value_of("y", 1.0)))
    pages = await bench.ticks(6)
    assert [page.get('source_up{source="a"}') for page in pages] == [None, None, 0, 0, 0, 0]
    assert pages[-1]['source_failures_total{source="a"}'] == 1.0
    assert all(KEY % "y" in page for page in pages)
    assert source.most_running == 1
    assert bench.log.errors("a") == ["gave no answer within 1s and cannot be interrupted"]
    source.release()
    pages = await bench.ticks(3)
    assert pages[-1]['source_up{source="a"}'] == 1.0
    assert KEY % "x" in pages[-1]


@virtual
async def test_closing_does_not_wait_for_a_source_that_cannot_be_cancelled():
    """The end is bounded whatever a source does, and every other source is closed."""
    source, other = (
        UncancellableCollector("a", value_of("x", 1.0)),
        ScriptedCollector("b", value_of("y", 1)),
    )
    bench = Bench(source, other)
    await bench.ticks(1)
    begun = bench.clock.monotonic()
    await bench.runtime.aclose()
    assert bench.clock.monotonic() - begun <= 3 * CLOSE_LIMIT
    assert (source.closed, other.closed, bench.exporter.closed) == (1, 1, 1)
    source.release()


@virtual
async def test_removing_a_source_that_is_known_to_hang_waits_for_nothing():
    """A reload that drops a hung source is not held up by it."""
    source = UncancellableCollector("a", value_of("x", 1.0))
    bench = Bench(source)
    await bench.ticks(4)
    begun = bench.clock.monotonic()
    await bench.runtime.remove("a")
    assert bench.clock.monotonic() == begun
    assert source.closed == 1
    source.release()


ERRORS: list[tuple[BaseException, str]] = [
    (ConnectionError("refused"), "refused"),
    (ValueError(), "ValueError"),
    (TimeoutError("the server said so"), "the server said so"),
    (ExceptionGroup("several", [ValueError("one")]), "several (1 sub-exception)"),
    (asyncio.CancelledError(), "was cancelled by something that it waited for"),
]


@pytest.mark.parametrize(("problem", "told"), ERRORS)
def test_whatever_a_source_raises_becomes_a_fact(problem: BaseException, told: str):
    """Any error of a source is a failed look, is told, and harms no other source."""

    async def main() -> None:
        bench = Bench(ScriptedCollector("a", problem), ScriptedCollector("b", value_of("y", 1.0)))
        pages = await bench.ticks(2)
        assert pages[-1]['source_up{source="a"}'] == 0.0
        assert pages[-1]['source_failures_total{source="a"}'] == 2.0
        assert pages[-1]['source_up{source="b"}'] == 1.0
        assert bench.log.errors("a") == [told, told]

    run_virtual(main())


@virtual
async def test_a_failure_may_tell_something():
    """What an error of a source tells is shown beside its being down, until it works again."""
    why = SourceError("upgraded", facts=value_of("mismatch", 1.0))
    bench = Bench(ScriptedCollector("a", why, value_of("x", 1.0)))
    first, second = await bench.ticks(2)
    assert (first[KEY % "mismatch"], first['source_up{source="a"}']) == (1.0, 0.0)
    assert KEY % "mismatch" not in second
    assert bench.log.errors("a") == ["upgraded"]


@virtual
async def test_a_reading_that_is_not_parallel_is_refused():
    """Fewer values than series would shift everyone's values: it counts as a failure."""
    bad = Reading([*value_of("x", 1).ids, *value_of("z", 1).ids], [1.0])
    bench = Bench(ScriptedCollector("a", bad), ScriptedCollector("b", value_of("y", 5.0)))
    (page,) = await bench.ticks(1)
    assert page[KEY % "y"] == 5.0
    assert page['source_up{source="a"}'] == 0.0
    assert bench.log.errors("a") == ["gave 2 series and 1 values"]


@virtual
async def test_what_is_not_on_this_host_is_looked_for_rarely():
    """An unavailable source is tried again every 15 s, and counts as no failure."""
    source = ScriptedCollector("a", UnavailableError("no driver"), value_of("x", 1.0))
    bench = Bench(source)
    pages = await bench.ticks(16)
    assert len(source.begun) == 2
    assert source.begun[1] - source.begun[0] == pytest.approx(15.0)
    assert pages[0]['source_unavailable{source="a"}'] == 1.0
    assert pages[14]['source_failures_total{source="a"}'] == 0.0
    assert pages[15]['source_up{source="a"}'] == 1.0


@virtual
async def test_a_broken_exporter_harms_no_other():
    """An exporter that raises is told to the log; the others have every frame."""
    bench = Bench()
    bench.runtime.exporters.insert(0, NotedExporter("broken", RuntimeError("full")))
    await bench.ticks(2)
    assert bench.log.exporters == [("broken", "full"), ("noted", "")] * 2


@pytest.mark.parametrize("timeout", [0.1, PATIENCE_LIMIT, 0.7])
@pytest.mark.parametrize("interval", [1.0, 20.0])
def test_a_look_ends_at_its_timeout(timeout: float, interval: float):
    """Whether a tick waits for a look or not, it is cancelled at the moment of its timeout."""

    async def main() -> None:
        bench = Bench(interval=interval)
        settings = Source(interval=interval, timeout=timeout, stale_after=60.0)
        bench.runtime.add(HangingCollector("a", value_of("x", 1.0)), settings)
        bench.runtime.add(ScriptedCollector("b", value_of("y", 1.0)), settings)
        await bench.ticks(4)
        looks = [look for name, look in bench.log.sources if name == "a"]
        assert len(looks) >= 3
        assert [look.duration for look in looks] == pytest.approx([timeout] * len(looks))
        assert {look.error for look in looks} == {f"gave no answer within {timeout:g}s"}

    run_virtual(main())
