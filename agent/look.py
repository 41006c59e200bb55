"""One look at one source: whatever a source does comes out as a `Look`."""

import asyncio

from agent.model import Clock, Collector, Look, Reading, SourceError, UnavailableError


async def look_at(collector: Collector, *, timeout: float, clock: Clock) -> Look:  # noqa: ASYNC109
    """Look at a source once; whatever happens there becomes part of the answer.

    Args:
        collector: the source.
        timeout: seconds, on the clock of the event loop, after which it is cancelled.
        clock: measures how long the look took.
    """
    begun = clock.monotonic()
    reading: Reading | None = None
    error = ""
    unavailable = False
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            reading = _checked(await collector.collect())
    except UnavailableError as problem:
        error, unavailable = str(problem), True
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
