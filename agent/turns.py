"""Gives the event loop turns in the course of a tick, so that a scrape waits for a part of it."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from agent.steps import Steps

T = TypeVar("T")

SLICE: Final = 0.002
"""Seconds after which the loop gets a turn: a turn costs some 10 µs."""

# A timer fires behind what has become ready meanwhile; a sleep of 0 would come before it.
_MOMENT: Final = 1e-9


class Turns:
    """Gives the event loop a turn now and then in the course of some work.

    Args:
        monotonic: seconds on a clock that never goes back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since = monotonic()

    async def give(self) -> None:
        """Let others run if the last time is long ago."""
        if self._monotonic() - self._since >= SLICE:
            await asyncio.sleep(_MOMENT)
            self._since = self._monotonic()

    async def in_turns(self, steps: Steps[T]) -> T:
        """Return what comes of the steps; others run between them."""
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
            await self.give()
