"""One look at one source: whatever a source does comes out as a `Look`."""

import asyncio

from agent.model import (
    EMPTY_READING,
    Clock,
    Collector,
    Look,
    Reading,
    SourceError,
    UnavailableError,
)


async def look_at(
    collector: Collector,
    *,
    limit: asyncio.Timeout,
    timeout: float,  # noqa: ASYNC109 - it is `limit` that ends it
    clock: Clock,
) -> Look:
    """Look at a source once; whatever happens there becomes part of the answer.

    Args:
        collector: the source.
        limit: cancels the look, if it is armed by then.
        timeout: seconds that it is armed with, for people.
        clock: measures how long the look took.
    """
    begun = clock.monotonic()
    reading: Reading | None = None
    error = ""
    unavailable = False
    facts = EMPTY_READING
    try:
        async with limit:
            reading = _checked(await collector.collect())
    except UnavailableError as problem:
        error, unavailable = str(problem), True
    except SourceError as problem:
        error, facts = reason(problem), problem.facts
    except asyncio.CancelledError:
        if _is_cancelled():
            raise
        error = "was cancelled by something that it waited for"
    except Exception as problem:  # noqa: BLE001 - a broken source is a fact to report
        error = reason(problem)
        if isinstance(problem, TimeoutError) and limit.expired():
            error = f"gave no answer within {timeout:g}s"
    return Look(
        source=collector.name,
        # Microseconds are all there is to say, and what a recording keeps.
        duration=round(clock.monotonic() - begun, 6),
        reading=reading,
        error=error,
        unavailable=unavailable,
        facts=facts,
    )


def _checked(reading: Reading) -> Reading:
    """Return a reading whose lists are parallel: one that is not would shift all other values."""
    if len(reading.ids) != len(reading.values):
        raise SourceError(f"gave {len(reading.ids)} series and {len(reading.values)} values")
    return reading


def _is_cancelled() -> bool:
    """Return whether it is the current task that is cancelled, not something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def reason(problem: BaseException) -> str:
    """Return what to tell people of an error."""
    return str(problem) or type(problem).__name__
