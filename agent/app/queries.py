"""Queries of people and programs, answered by a process that runs only while there are some.

question ─► waits its turn ─► process ─► file in memory ─► whoever asked
              │ queue full       │ too long, too large, nobody listens any more: killed
              ▼                  ▼
         no answer           no answer; the next question starts another
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from agent.config.queries import Queries as Limits
from agent.framing import HEADER, Unframer, frame
from agent.model import Clock
from agent.queries import wire
from agent.queries.asked import Asked, NoAnswerError, Trouble, to_json
from agent.queries.lend import Lender
from agent.store.lending import Lent
from agent.store.target import Target
from agent.turns import Turns

IDLE: Final = 60.0
"""Seconds after its last answer at which the process is ended."""

HELD: Final = 128 * 2**20
"""Bytes of answers that may be on their way to those who asked."""

_LISTENS: Final = 0.5  # seconds between two looks whether anybody waits for the answer
_SUBQUERY_STEP: Final = 60.0
_GONE: Final = "nobody waits for the answer any more"
_ENDED: Final = "the process that answers queries was ended"


@dataclass(frozen=True, slots=True)
class _Process:
    """The process, and our end of the socket to it."""

    process: asyncio.subprocess.Process
    connection: socket.socket


class Queries:
    """Answers questions, one after the other.

    Args:
        limits: see there.
        lend: gives what memory holds now.
        path: of the history on disk; None where there is none.
        target: labels that are attached to every series.
        clock: says what time it is in the samples.
        wall: says what time it is for those who ask.
        program: how the process is started, its options follow.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        lend: Callable[[], Lent],
        path: Path | None,
        target: Target,
        clock: Clock,
        wall: Clock | None = None,
        program: Sequence[str] = (sys.executable, "-I", "-m", "agent.queries.child"),
    ) -> None:
        self._limits = limits
        self._lend = lend
        self._lender = Lender(lend)
        self._path = path
        self._target = target
        self._clock = clock
        self._wall = wall or clock
        self._program = program
        self._turn = asyncio.Lock()
        self._asking = 0
        self._held = 0
        self._running: _Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    def use(self, limits: Limits) -> None:
        """Go on with other limits; the process that has the old ones ends after its answer."""
        changed, self._limits = limits != self._limits, limits
        if changed and not self._turn.locked():
            self._end()

    def now(self) -> float:
        """Return Unix seconds as those who ask have them."""
        return self._wall.time()

    async def answer(
        self, asked: Asked, *, patience: float | None = None, listens: Callable[[], bool]
    ) -> "Body":
        """Return the answer to a question.

        Args:
            asked: the question.
            patience: seconds after which it is given up, unless the limits say sooner.
            listens: whether somebody waits for the answer.

        Raises:
            NoAnswerError: there is none.
        """
        if self._asking > self._limits.waiting:
            raise NoAnswerError(Trouble.UNAVAILABLE, "too many queries are waiting; try again")
        if self._held > HELD:
            raise NoAnswerError(
                Trouble.UNAVAILABLE, "too many answers wait to be read; read them and try again"
            )
        limit = self._limits.timeout
        longest = limit if patience is None else max(0.0, min(patience, limit))
        deadline = asyncio.get_running_loop().time() + longest
        self._asking += 1
        try:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._turn.acquire()
            except TimeoutError:
                raise NoAnswerError(Trouble.TIMEOUT, "query timed out in query queue") from None
            try:
                return await self._answered(asked, deadline, listens)
            finally:
                self._turn.release()
        finally:
            self._asking -= 1

    async def _answered(self, asked: Asked, deadline: float, listens: Callable[[], bool]) -> "Body":
        """Have the process answer a question, whose turn it is."""
        if not listens():
            raise NoAnswerError(Trouble.CANCELED, _GONE)
        limits = self._limits
        body = os.fdopen(os.memfd_create("answer"), "r+b")
        try:
            size = await self._conversed(asked, body, deadline, listens)
        except BaseException:
            body.close()
            raise
        finally:
            self._lender.release()
            if limits is not self._limits:
                self._end()
        self._held += size
        body.seek(0)
        return Body(body, size, self._release)

    def _release(self, size: int) -> None:
        """Take note that an answer was read, or will not be."""
        self._held -= size

    async def _conversed(
        self, asked: Asked, body: BinaryIO, deadline: float, listens: Callable[[], bool]
    ) -> int:
        """Return the size of the answer, once it is in the file."""
        self._rest(None)
        if self._running is not None and self._running.process.returncode is not None:
            self._end()  # it died while nobody asked
        running = self._running or await self._start()
        talk = asyncio.create_task(self._talk(running, asked, body))
        loop = asyncio.get_running_loop()
        answered = False
        try:
            while not talk.done():
                left = deadline - loop.time()
                if left <= 0:
                    raise NoAnswerError(Trouble.TIMEOUT, "query timed out in expression evaluation")
                if not listens():
                    raise NoAnswerError(Trouble.CANCELED, _GONE)
                await asyncio.wait((talk,), timeout=min(left, _LISTENS))
            answered = talk.exception() is None or isinstance(talk.exception(), NoAnswerError)
            return await talk
        except (OSError, EOFError, ValueError):
            raise NoAnswerError(Trouble.UNAVAILABLE, await self._how_it_ended()) from None
        finally:
            # First, since what it waits for must not be closed under it.
            talk.cancel()
            await asyncio.gather(talk, return_exceptions=True)
            if not answered:
                self._end()
            elif self._running is not None:
                self._rest(IDLE)

    async def _talk(self, running: _Process, asked: Asked, body: BinaryIO) -> int:
        """Ask, lend what the process wants to see, and return the size of the answer.

        Raises:
            NoAnswerError: it says that there is none.
            OSError, EOFError, ValueError: it has ended, or makes no sense.
        """
        loop = asyncio.get_running_loop()
        connection = running.connection
        shift = self._wall.time() - self._clock.time()
        question = frame(wire.ASKED, to_json(_shifted(asked, shift), shift=shift))
        head = question[: HEADER.size]
        socket.send_fds(connection, [head], [body.fileno()])
        await loop.sock_sendall(connection, question[len(head) :])
        turns = Turns(loop.time)
        frames = Unframer()
        while True:
            received = await loop.sock_recv(connection, 1 << 16)
            if not received:
                raise EOFError
            for kind, said in frames.feed(received):
                if kind == wire.DONE:
                    return int(json.loads(said)["size"])
                if kind == wire.FAILED:
                    told = json.loads(said)
                    if told.get("ends"):
                        self._end()
                    raise NoAnswerError(Trouble(told["trouble"]), told["why"])
                for answer in self._lender.answer(kind, said):
                    await loop.sock_sendall(connection, answer)
                    await turns.give()

    async def _start(self) -> _Process:
        """Start the process."""
        if self._closed:
            raise NoAnswerError(Trouble.UNAVAILABLE, "the agent is about to end")
        self._lender = Lender(self._lend)
        options = {
            "path": None if self._path is None else str(self._path),
            "target": {**asdict(self._target), "external": dict(self._target.external)},
            "samples": self._limits.samples,
            "memory": self._limits.memory,
            "subquery_step": _SUBQUERY_STEP,
        }
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._program,
                    json.dumps(options),
                    stdin=theirs.fileno(),
                    stdout=asyncio.subprocess.DEVNULL,
                )
            except BaseException as error:
                ours.close()
                if not isinstance(error, OSError):
                    raise
                raise NoAnswerError(
                    Trouble.UNAVAILABLE, f"no process for queries could start: {error}"
                ) from error
        self._running = _Process(process, ours)
        return self._running

    def _rest(self, idle: float | None) -> None:
        """End the process after some seconds without a question; None for not now."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = None
        if idle is not None:
            self._idle = asyncio.get_running_loop().call_later(idle, self._end)

    def _end(self) -> None:
        """End the process, if there is one, and wait for nothing."""
        self._rest(None)
        running, self._running = self._running, None
        if running is not None:
            running.connection.close()
            task = asyncio.get_running_loop().create_task(_killed(running.process))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _how_it_ended(self) -> str:
        """Return what became of the process, which has closed its socket."""
        running = self._running
        if running is None:
            return _ENDED
        await _killed(running.process)
        status = running.process.returncode or 0
        return f"{_ENDED} by signal {-status}" if status < 0 else f"{_ENDED} with {status}"

    async def aclose(self) -> None:
        """End the process; safe to call twice."""
        self._closed = True
        if self._running is not None:
            _kill(self._running.process)
        async with self._turn:  # whoever waits for an answer learns that there is none
            self._end()
        await asyncio.gather(*self._ending)


class Body:
    """An answer.

    Args:
        file: holds it, from its beginning.
        size: bytes.
        release: called with the size once it is closed.
    """

    def __init__(self, file: BinaryIO, size: int, release: Callable[[int], None]) -> None:
        self.file = file
        self.size = size
        self._release = release

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        if not self.file.closed:
            self.file.close()
            self._release(self.size)


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill a process that has not ended yet.

    Not by its own `kill`: that looks first whether it has ended, and takes its status away from
    asyncio, which then tells 255 of a process that the system had killed.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


async def _killed(process: asyncio.subprocess.Process) -> None:
    """Kill a process and wait for its end."""
    _kill(process)
    await process.wait()


def _shifted(asked: Asked, shift: float) -> Asked:
    """Return a question in the time of the samples; without a time it is about now."""
    start, end = asked.start, asked.end
    return replace(asked, start=None if start is None else start - shift, end=end - shift)
