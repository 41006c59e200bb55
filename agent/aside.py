"""Work that may never return, done where it holds up nothing.

A read from a dead network filesystem, from a pipe, or about a process that hangs in the kernel
cannot be cancelled. It is done in a thread that is a daemon, so that it never keeps the agent
alive: the threads of asyncio's own pool are waited for at the end.
"""

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def start_aside(work: Callable[[], None], *, name: str) -> threading.Thread:
    """Start work that must raise nothing in a thread that nobody has to wait for."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


class Worker:
    """A thread that does one piece of work after the other; it starts with the first.

    It waits for work instead of being started for each, because a start holds up the event loop
    until the system lets the new thread run. It ends once nobody has the worker any more.

    Args:
        name: of the thread, for people who look at the agent.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._given: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def give(self, work: Callable[[], None]) -> None:
        """Have work done that must raise nothing, after what was given before.

        Raises:
            RuntimeError: there can be no thread.
        """
        if self._thread is None:
            given = self._given
            self._thread = start_aside(lambda: _serve(given), name=self._name)
            weakref.finalize(self, given.put, None)
        self._given.put(work)


def _serve(given: "SimpleQueue[Callable[[], None] | None]") -> None:
    """Do what is given until there is nobody left to give it."""
    while (work := given.get()) is not None:
        work()
        del work  # it may hold a lot, and the next may be a long time coming


class Aside:
    """Does one piece of work at a time beside the event loop.

    There is no time limit here: whoever asks may give up at any moment. What hangs then goes on
    hanging in its one thread, and those that ask meanwhile wait behind it.

    Args:
        name: of the thread, for people who look at the agent.
    """

    def __init__(self, name: str) -> None:
        self._worker = Worker(name)
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
            self._worker.give(run)
        except RuntimeError:  # there may be no more threads
            self._lock.release()
            raise
        return await answer


def _bound(tell: Callable[[T], None], what: T) -> Callable[[], None]:
    """Return a call with its argument."""
    return lambda: tell(what)
