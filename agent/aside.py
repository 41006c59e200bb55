"""Work that may never return, done where it holds up nothing.

A read from a dead network filesystem, from a pipe, or about a process that hangs in the kernel
cannot be cancelled. It is done in a thread that is a daemon, so that it never keeps the agent
alive: the threads of asyncio's own pool are waited for at the end.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def start_aside(work: Callable[[], None], *, name: str) -> threading.Thread:
    """Start work that must raise nothing in a thread that nobody has to wait for."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


class Aside:
    """Does one piece of work at a time beside the event loop.

    There is no time limit here: whoever asks may give up at any moment. What hangs then goes on
    hanging in its one thread, and those that ask meanwhile wait behind it.

    Args:
        name: of the thread, for people who look at the agent.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = asyncio.Lock()

    @property
    def is_busy(self) -> bool:
        """Whether work is under way, perhaps for someone who gave up on it."""
        return self._lock.locked()

    async def do(self, work: Callable[[], T]) -> T:
        """Return what the work returns; what it raises is raised here."""
        await self._lock.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def finish(tell: Callable[[], None]) -> None:
            self._lock.release()
            if not answer.done():
                tell()

        def run() -> None:
            tell: Callable[[], None]
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
                tell = _bound(answer.set_exception, error)
            else:
                tell = _bound(answer.set_result, result)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
                loop.call_soon_threadsafe(finish, tell)

        try:
            start_aside(run, name=self._name)
        except RuntimeError:  # there may be no more threads
            self._lock.release()
            raise
        return await answer


def _bound(tell: Callable[[T], None], what: T) -> Callable[[], None]:
    """Return a call with its argument."""
    return lambda: tell(what)
