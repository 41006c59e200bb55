"""What was learned of the engines, kept in the state folder over a restart of the agent.

It is taken from the loop one replica a tick and written in a thread: there may be hundreds of
stretches of each of dozens of engines.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agent.analysis.learning import Learning
from agent.analysis.replicas import Replica
from agent.app.state_file import read_state, write_state
from agent.model import Clock, Frame

STATE_FILE: Final = "learned.json"
"""Name of the file in the state folder."""

EVERY: Final = 300.0
"""Seconds from one save to the next."""

_ASIDE: Final = ".damaged"


class LearnedFile:
    """Saves what was learned, every few minutes and at the end; an exporter like any other.

    Args:
        learning: what is kept.
        path: of the file.
        clock: says when it is time.
        told: called with a sentence for the log.
    """

    name = "learned"

    def __init__(
        self, learning: Learning, path: Path, *, clock: Clock, told: Callable[[str], None]
    ) -> None:
        self._learning = learning
        self._path = path
        self._clock = clock
        self._told = told
        self._due = clock.monotonic() + EVERY
        self._left: list[Replica] = []
        self._taken: list[dict[str, Any]] = []
        self._writing: asyncio.Task[None] | None = None
        self._trouble = ""
        self._closed = False

    async def restore(self) -> int:
        """Take up what the run before had learned; return of how many replicas."""
        try:
            return self._learning.restore(await asyncio.to_thread(read_state, self._path))
        except FileNotFoundError:
            return 0
        except OSError as error:
            self._told(f"what was learned of the engines cannot be read: {error}")
        except (ValueError, RecursionError) as error:
            aside = self._path.with_name(self._path.name + _ASIDE)
            self._told(
                f"what was learned of the engines, in {self._path}, cannot be used and is moved "
                f"to {aside.name}: {error}"
            )
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._path.replace, aside)
        return 0

    async def publish(self, frame: Frame) -> None:
        """Take the next replica, if a save is under way or due."""
        if self._writing is not None and not self._writing.done():
            return
        if not self._left and not self._taken:
            if self._clock.monotonic() < self._due:
                return
            self._due = self._clock.monotonic() + EVERY
            self._left = [*self._learning.replicas()]
        if self._left:
            self._take(self._left.pop())
        if not self._left:
            taken, self._taken = self._taken, []
            document = self._learning.document(taken, time=frame.time)
            self._writing = asyncio.create_task(self._write(document))

    def _take(self, replica: Replica) -> None:
        """Take what was learned of one replica."""
        saved = self._learning.saved(replica)
        if saved is not None:
            self._taken.append(saved)

    async def _write(self, document: dict[str, Any]) -> None:
        """Write it, beside the loop; trouble is told once."""
        trouble = ""
        try:
            await asyncio.to_thread(write_state, self._path, document)
        except (OSError, TypeError, ValueError) as error:
            trouble = f"what was learned of the engines cannot be saved: {error}"
        if trouble and trouble != self._trouble:
            self._told(trouble)
        self._trouble = trouble

    async def aclose(self) -> None:
        """Save what there is; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._writing is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing
        self._taken = []
        for replica in self._learning.replicas():
            self._take(replica)
        await self._write(self._learning.document(self._taken, time=self._clock.time()))
