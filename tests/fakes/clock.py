"""Clocks that stand still until a test lets time pass."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class ManualClock:
    """Stands still until told; `sleep` moves it."""

    def __init__(self, *, time: float = 1_800_000_000.0, monotonic: float = 1_000.0) -> None:
        self._time = time
        self._monotonic = monotonic

    def time(self) -> float:
        """Return Unix seconds."""
        return self._time

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._time += seconds
        self._monotonic += seconds

    def set_time(self, time: float) -> None:
        """Set the clock on the wall, as NTP does; the monotonic one goes on."""
        self._time = time

    async def sleep(self, seconds: float) -> None:
        """Let time pass without waiting."""
        self.advance(seconds)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while nothing can run: timeouts cost no time.

    Timers fire in their order, at exactly their moment. Not for sockets, threads or processes.
    """

    def __init__(self) -> None:
        self._elapsed = 1_000.0
        super().__init__(_Skipping(self))

    def time(self) -> float:
        """Return the virtual seconds."""
        return self._elapsed

    def skip(self, seconds: float) -> None:
        """Let that much time pass at once, as when something blocks the loop."""
        self._elapsed += seconds


class _Skipping(selectors.DefaultSelector):
    """Passes time instead of waiting."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now, or let the time until the next timer pass."""
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("everything waits for something that will not happen")
        self._loop.skip(timeout)
        return []


class LoopClock:
    """The clock of a `VirtualLoop`, with a Unix time of its own."""

    def __init__(self, loop: VirtualLoop, *, time: float = 1_800_000_000.0) -> None:
        self._loop = loop
        self._offset = time - loop.time()

    def time(self) -> float:
        """Return Unix seconds."""
        return self._loop.time() + self._offset

    def monotonic(self) -> float:
        """Return the seconds of the loop."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Return when that much virtual time has passed."""
        await asyncio.sleep(seconds)

    def block(self, seconds: float) -> None:
        """Let time pass without letting anyone run."""
        self._loop.skip(seconds)

    def step(self, seconds: float) -> None:
        """Move the clock on the wall, as NTP does."""
        self._offset += seconds


def virtual_clock() -> LoopClock:
    """Return the clock of the virtual loop that runs now."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return LoopClock(loop)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
