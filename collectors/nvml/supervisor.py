"""Keeps one child process that talks to the driver, and replaces it when it hangs or ends.

    no child ──start──► answering ──deadline──► killed; abandoned while it does not die
       ▲                    │
       └──── backoff ◄──────┴── ended, failed, killed

A process in an uninterruptible call survives SIGKILL. It is left behind and counted; while two
are left behind no further one is started, because each may hold memory and a driver lock.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.framing import Unframer
from agent.model import SourceError
from collectors.nvml import codes, messages, wire
from collectors.nvml.backoff import Backoff

MAX_ABANDONED: Final = 2
START_DEADLINE: Final = 30.0
"""Seconds that a fresh child may take: without persistence mode the driver wakes every GPU."""
_CLOSE_PATIENCE: Final = 0.5

Process = subprocess.Popen[bytes]


@dataclass(slots=True)
class Answer:
    """What the child said to one request.

    Attributes:
        layout: body of a LAYOUT frame, None where the one before still holds.
        sample: body of the SAMPLE frame.
        events: bodies of EVENT frames, those that came unasked included.
    """

    layout: bytes | None = None
    sample: bytes | None = None
    events: list[bytes] = field(default_factory=list)


class _Child:
    """A running child and what is under way with it."""

    def __init__(self, process: Process, connection: socket.socket) -> None:
        self.process = process
        self.connection = connection
        self.frames = Unframer()
        self.answer = Answer()
        self.deadline: float | None = None
        self.fresh = True


class Supervisor:
    """Asks the child, within a deadline.

    Args:
        monotonic: seconds on a clock that never goes back.
        deadline: seconds in which the child must answer.
        env: environment of the child; the agent's own where None.
        kill: ends a process that hangs.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        deadline: float,
        env: Mapping[str, str] | None = None,
        kill: Callable[[Process], None] = subprocess.Popen.kill,
    ) -> None:
        self.backoff = Backoff(monotonic, first=1.0, limit=60.0, healthy_after=30.0)
        self._deadline = deadline
        self._env = env
        self._kill = kill
        self._child: _Child | None = None
        self._abandoned: list[Process] = []
        self._why: SourceError = SourceError("not tried yet")
        self._owed: SourceError | None = None
        self._tolerant = False

    @property
    def abandoned(self) -> int:
        """How many killed children are still there."""
        self._abandoned = [one for one in self._abandoned if one.poll() is None]
        return len(self._abandoned)

    @property
    def is_fresh(self) -> bool:
        """Whether the next request is the first to its child."""
        return self._child is None or self._child.fresh

    async def ask(self, tiers: int) -> Answer:
        """Have these tiers read. If cancelled, the next call waits for the same answer.

        Raises:
            UnavailableError: there is no NVIDIA driver on this host.
            SourceError: the driver hangs, fails or is left alone for a while after that.
        """
        if self._owed is not None:
            owed, self._owed = self._owed, None
            raise owed
        child = self._child or self._start()
        try:
            await self._converse(child, tiers)
        except TimeoutError:
            why = SourceError(
                "a call into the NVIDIA driver did not return in time: its process was "
                "replaced; look for XID errors and hung tasks in the kernel log"
            )
        except SourceError as error:
            why = error
        except (OSError, ValueError) as error:
            why = SourceError(f"the process that talks to the NVIDIA driver broke: {error}")
        else:
            return self._finish(child)
        self._fail(why)
        if child.answer.events:
            # An XID often comes right before the hang or the failure: it must not go with it.
            self._owed = why
            return Answer(events=child.answer.events)
        raise why

    async def _converse(self, child: _Child, tiers: int) -> None:
        """Send the request unless one is under way, and read up to the end of its answer."""
        loop = asyncio.get_running_loop()
        if child.deadline is None:
            child.deadline = loop.time() + (START_DEADLINE if child.fresh else self._deadline)
            self._send(child, tiers)
        async with asyncio.timeout_at(child.deadline):
            while child.answer.sample is None:
                try:
                    received = await loop.sock_recv(child.connection, 1 << 16)
                except ConnectionError:  # it ended before it read the request
                    received = b""
                if not received:
                    raise self._ended(child)
                self._take(child, received)

    def _finish(self, child: _Child) -> Answer:
        """Return the complete answer and be ready for the next request."""
        answer, child.answer = child.answer, Answer()
        child.deadline = None
        child.fresh = False
        return answer

    def replace(self) -> None:
        """Let the next request go to a fresh child."""
        self._drop()

    async def aclose(self) -> None:
        """End the child; returns within about half a second even if it cannot die."""
        self._drop()
        loop = asyncio.get_running_loop()
        end = loop.time() + _CLOSE_PATIENCE
        # A process that ends gives no event to wait for.
        while self.abandoned and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    def _start(self) -> _Child:
        """Start a child unless it is too early or too many hang."""
        if self.abandoned >= MAX_ABANDONED:
            raise SourceError(
                f"{MAX_ABANDONED} processes hang in the NVIDIA driver and cannot be killed: the "
                "GPUs are read again when one has ended; a reboot may be needed"
            )
        if self.backoff.remaining:
            raise self._why
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        options = json.dumps({"tolerant": self._tolerant})
        with theirs:
            try:
                process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
                    [sys.executable, "-I", "-m", "collectors.nvml.child", options],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=self._env,
                )
            except OSError as error:
                ours.close()
                self._fail(SourceError(f"no process for the NVIDIA driver could start: {error}"))
                raise self._why from error
        self._child = _Child(process, ours)
        return self._child

    def _send(self, child: _Child, tiers: int) -> None:
        try:
            child.connection.send(bytes((tiers,)))
        except OSError:
            return  # it ended: what it said last is still to be read

    def _take(self, child: _Child, received: bytes) -> None:
        """Sort frames into the answer under way.

        Raises:
            SourceError: the child said why it ends.
        """
        answer = child.answer
        for kind, body in child.frames.feed(received):
            match kind:
                case wire.EVENT:
                    answer.events.append(body)
                case wire.LAYOUT:
                    answer.layout = body
                case wire.SAMPLE:
                    answer.sample = body
                case wire.FAILURE:
                    said = json.loads(body)
                    # A fresh process did not help against an unknown error: live with it.
                    self._tolerant = said["code"] == codes.UNKNOWN
                    raise messages.failure(said["stage"], said["code"], said["message"])
                case _:
                    raise ValueError(f"a frame of unknown kind {kind}")

    def _ended(self, child: _Child) -> SourceError:
        """Return the error for a child that ended without a word."""
        try:
            status: object = child.process.wait(0.1)
        except subprocess.TimeoutExpired:
            status = "unknown"
        return SourceError(
            f"the process that talks to the NVIDIA driver ended (status {status}); a negative "
            "status is a signal and means that the driver's library crashed"
        )

    def _fail(self, why: SourceError) -> None:
        self._why = why
        self.backoff.failed()
        self._drop()

    def _drop(self) -> None:
        """Close and kill the child, if there is one, and wait for nothing."""
        child, self._child = self._child, None
        if child is None:
            return
        child.connection.close()
        if child.process.poll() is None:
            self._kill(child.process)
            if child.process.poll() is None:
                self._abandoned.append(child.process)
                _reap_at_its_end(child.process)


def _reap_at_its_end(process: Process) -> None:
    """Take note of the end of a process as soon as it comes, so that no zombie stays behind.

    Before Linux 5.3, and to a Python built for such, nothing tells of it; the next look then sees
    to it.
    """
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(process.pid)
    except (OSError, AttributeError):
        return

    def ended() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        process.poll()

    loop.add_reader(descriptor, ended)
