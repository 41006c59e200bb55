"""Work that can be interrupted: a generator that yields wherever others may have a turn.

Whoever has an event loop gives it a turn there (`agent.turns`), whoever has none goes on at once.
"""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Steps, and what came of them as the value that the generator returns."""


def at_once(steps: Steps[T]) -> T:
    """Return what comes of the steps, without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
