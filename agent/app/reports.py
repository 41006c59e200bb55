"""Reports for those who ask over HTTP: each in a process of its own, one at a time."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from agent.report.asked import Asked, AskedError, from_query
from exporters.http_report import Answer

LONGEST: Final = 300.0
"""Seconds after which a report is given up."""

REFUSED: Final = 2
FAILED: Final = 3
NOTHING: Final = 4
"""How a process that was started for a report ends: asked wrongly, could not, found nothing."""

_STATUS: Final = {REFUSED: 400, NOTHING: 404}
_KINDS: Final = {
    "json": "application/json",
    "html": "text/html",
    "csv": "text/csv",
    "markdown": "text/markdown",
    "console": "text/plain",
}
_MOST_WORDS: Final = 2000


class Reports:
    """Makes reports.

    Args:
        config: the configuration that the agent reads; None for that of its usual place.
        program: how a process for a report is started, arguments follow.
    """

    def __init__(
        self,
        config: Path | None,
        *,
        program: Sequence[str] = (sys.executable, "-I", "-m", "agent", "report", "--limited"),
    ) -> None:
        self._config = config
        self._program = program
        self._busy = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None

    async def answer(self, query: Mapping[str, str]) -> Answer:
        """Return the report that parameters of an address ask for, or why there is none."""
        try:
            asked = from_query(query)
        except AskedError as error:
            return Answer(400, why=str(error))
        if self._busy.locked():
            return Answer(503, why="another report is being made; try again in a moment")
        async with self._busy:
            return await self._made(asked)

    async def _made(self, asked: Asked) -> Answer:
        """Have a report made."""
        # Memory and no file: no disk that hangs can hold up the loop when it is read.
        body = os.fdopen(os.memfd_create("report"), "r+b")
        words = os.fdopen(os.memfd_create("words"), "r+b")
        try:
            with words:
                status = await self._ended(asked, body, words)
                words.seek(0)
                said = words.read(_MOST_WORDS).decode("utf-8", "replace").strip()
        except BaseException:
            body.close()
            raise
        if status == 0:
            body.seek(0)
            return Answer(200, body=body, kind=_KINDS[asked.form])
        body.close()
        if status is None:
            return Answer(503, why=f"it took longer than {LONGEST:.0f} s: ask for a shorter time")
        if status < 0:
            return Answer(503, why=f"the process was ended by signal {-status}")
        return Answer(_STATUS.get(status, 503), why=said or f"the process ended with {status}")

    async def _ended(self, asked: Asked, body: BinaryIO, words: BinaryIO) -> int | None:
        """Return how the process ended; None where it took too long."""
        self._process = await asyncio.create_subprocess_exec(
            *self._program,
            *_arguments(asked, self._config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=body,
            stderr=words,
        )
        try:
            return await asyncio.wait_for(self._process.wait(), LONGEST)
        except TimeoutError:
            return None
        finally:
            await self._end()

    async def _end(self) -> None:
        """End the process, if it still runs."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def aclose(self) -> None:
        """Give up the report that is being made; safe to call twice."""
        await self._end()


def _arguments(asked: Asked, config: Path | None) -> list[str]:
    """Return the arguments of the command; each in one piece, so that none reads as another."""
    given = {
        "from": asked.start,
        "to": asked.end,
        "instance": asked.instance,
        "model": asked.model,
        "against": asked.against,
        "format": asked.form,
        "config": "" if config is None else str(config),
    }
    return [f"--{name}={value}" for name, value in given.items() if value]
