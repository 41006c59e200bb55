"""The process that answers queries: `python -I -m agent.queries.child OPTIONS`.

Its standard input is a socket to the agent (`wire`); with each question comes the file that its
answer is written to. It ends when the agent closes the socket or dies. OPTIONS is JSON: `path` of
the history or null, `target` (see `agent.store.target`), `samples` and `memory` at most,
`subquery_step`.
"""

import contextlib
import ctypes
import gzip
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Final, cast

from agent.framing import HEADER
from agent.queries import wire
from agent.queries.answers import Setting, pieces
from agent.queries.asked import NoAnswerError, Trouble, from_json
from agent.queries.memory import Known, borrow
from agent.queries.samples import Samples
from agent.store.reader import HistoryReader
from agent.store.target import Target

NICE: Final = 10
LARGEST: Final = 64 * 2**20
"""Bytes of the largest answer."""

_FIRST_KILLED: Final = "1000"
_PR_SET_PDEATHSIG: Final = 1
_SOCKET: Final = 0
_WRITTEN: Final = 1 << 16
_TOO_LARGE: Final = "the query needs more memory than it may have: {} MiB"


class Agent:
    """The other end of the socket.

    Args:
        connection: the socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answering = False

    def question(self) -> tuple[bytes, int] | None:
        """Return the next question and the file for its answer; None when the agent is gone."""
        head, files, _flags, _address = socket.recv_fds(self._connection, HEADER.size, 1)
        if not head:
            return None
        head += self._bytes(HEADER.size - len(head))
        _kind, length = HEADER.unpack(head)
        return self._bytes(length), files[0]

    def ask(self, frame: bytes) -> Iterator[tuple[int, bytes]]:
        """Send a frame and yield what answers it."""
        self._settle()
        self._connection.sendall(frame)
        self._answering = True
        while (answer := self._frame()) is not None:
            yield answer

    def _frame(self) -> tuple[int, bytes] | None:
        """Return the next frame of an answer, None at its end."""
        kind, length = HEADER.unpack(self._bytes(HEADER.size))
        body = self._bytes(length)
        self._answering = kind != wire.END
        return (kind, body) if self._answering else None

    def _settle(self) -> None:
        """Pass over what is left of an answer that was too large."""
        while self._answering:
            self._frame()

    def tell(self, kind: int, **what: Any) -> None:
        """Send how a question ended."""
        self._settle()
        self._connection.sendall(wire.json_frame(kind, what))

    def _bytes(self, count: int) -> bytes:
        """Return so many bytes."""
        parts: list[bytes] = []
        while count:
            part = self._connection.recv(min(count, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def main() -> int:
    """Answer questions until the agent goes; return the exit status."""
    # Ctrl-C and a stop of the service reach this process too; when to end is the agent's business.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    options = json.loads(sys.argv[1])
    limit_itself(options["memory"])
    agent = Agent(socket.socket(fileno=_SOCKET))
    with contextlib.suppress(EOFError, ConnectionError):
        serve(agent, options)
    return 0


def limit_itself(memory: int) -> None:
    """Keep this process from harming what runs beside it.

    It gets what is left of the processors and a bounded part of memory, is the first to be killed
    when that runs out, and ends with the agent.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with contextlib.suppress(OSError):  # a sandbox may refuse it
        os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_KILLED, "ascii")


def serve(agent: Agent, options: dict[str, Any]) -> None:
    """Answer one question after the other.

    Raises:
        EOFError, ConnectionError: the agent is gone in the middle of one.
    """
    target = Target(**options["target"])
    known = Known(target)
    path = options["path"]
    reader = None if path is None else HistoryReader(Path(path), target)
    while (question := agent.question()) is not None:
        body, file = question
        asked, further = from_json(body)
        most = options["samples"]
        source = Samples(lambda: borrow(agent.ask, known), reader, most=most)
        setting = Setting(
            source=source,
            most=most,
            subquery_step=options["subquery_step"],
            shift=further["shift"],
        )
        try:
            size = _written(file, pieces(asked, setting), compress=asked.gzip)
        except NoAnswerError as error:
            agent.tell(wire.FAILED, trouble=error.trouble, why=str(error))
        except MemoryError:
            source = setting = None  # type: ignore[assignment]
            mebibytes = options["memory"] // 2**20
            why = f"{_TOO_LARGE.format(mebibytes)}; ask for fewer series or a shorter time"
            agent.tell(wire.FAILED, trouble=Trouble.EXECUTION, why=why, ends=True)
            return  # what it left in memory is in pieces
        else:
            agent.tell(wire.DONE, size=size)


def _written(file: int, answer: Iterator[str], *, compress: bool) -> int:
    """Write an answer to a file, and return its size.

    Raises:
        NoAnswerError: there is none, or it is too large.
    """
    with open(file, "wb", buffering=_WRITTEN) as plain:
        packed = gzip.GzipFile(fileobj=plain, mode="wb", compresslevel=1) if compress else plain
        out = cast("BufferedIOBase", packed)
        for piece in answer:
            out.write(piece.encode())
            if plain.tell() > LARGEST:
                raise NoAnswerError(
                    Trouble.EXECUTION,
                    f"the answer is larger than {LARGEST // 2**20} MiB: ask for fewer series, or "
                    "larger steps",
                )
        if compress:
            out.close()
        plain.flush()
        return plain.tell()


if __name__ == "__main__":
    sys.exit(main())
