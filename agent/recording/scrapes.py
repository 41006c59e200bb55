"""Read captured pages: a file with one scrape of one engine a line, as load tests write them.

JSON objects, one a line, in gzip or plain: `t` Unix seconds, `path` such as `/metrics`, `code` the
HTTP status or null where nobody answered, `body` the page, `dt` the seconds that it took, `err` why
nobody answered. What else a line holds is left alone.
"""

import contextlib
import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from agent.model import RecordingError

_GZIP: Final = b"\x1f\x8b"
_LONGEST: Final = 64 * 2**20
"""Bytes of a line; one page is a few dozen kB."""
_TOLD: Final = 5
"""Bad lines that are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """What one path was answered.

    Attributes:
        time: Unix seconds.
        path: that was asked.
        code: HTTP status, None where nobody answered.
        body: the answer.
        duration: seconds that it took; 0 where that was not captured.
        error: why nobody answered, if that was captured.
    """

    time: float
    path: str
    code: int | None
    body: bytes = b""
    duration: float = 0.0
    error: str = ""


Scrapes: TypeAlias = dict[str, Scrape]
"""What was answered at one tick, by path."""


class _LineError(Exception):
    """A line is no scrape."""


@dataclass(slots=True)
class CaptureReader:
    """Reads a file of captured pages.

    Attributes:
        path: the file.
        warn: called with a sentence for what could not be read.
        bad: how many lines were left out so far.
    """

    path: Path
    warn: Callable[[str], None]
    bad: int = 0
    _lead: str = field(default="", init=False)

    def ticks(self) -> Iterator[Scrapes]:
        """Yield what was answered at each tick, in order.

        Raises:
            RecordingError: not one line of the file is a scrape, or it cannot be read at all.
        """
        tick: Scrapes = {}
        last = -math.inf
        for number, line in self._lines():
            try:
                scrape = _scrape(line, after=last)
            except _LineError as error:
                self._leave_out(number, str(error), nothing_yet=last == -math.inf)
                continue
            last = scrape.time
            self._lead = self._lead or scrape.path
            if scrape.path == self._lead or scrape.path in tick:
                if tick:
                    yield tick
                tick = {}
            tick[scrape.path] = scrape
        if self.bad > _TOLD:
            self.warn(f"{self.path}: {self.bad} lines were left out in all")
        if not tick:
            raise RecordingError(f"{self.path}: holds no scrape of an engine")
        yield tick

    def _leave_out(self, number: int, why: str, *, nothing_yet: bool) -> None:
        """Tell of a line that is no scrape.

        Raises:
            RecordingError: so are all lines before it, and they are too many for an accident.
        """
        self.bad += 1
        if nothing_yet and self.bad > _TOLD:
            raise RecordingError(
                f"{self.path}: holds no scrapes of an engine: line {number}: {why}; expected "
                "JSON lines with t, path, code and body, or a recording of inferwatch"
            )
        if self.bad <= _TOLD:
            self.warn(f"{self.path}:{number}: left out: {why}")

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield line numbers and lines, up to where the file is damaged."""
        number = 0
        try:
            with _opened(self.path) as file:
                while line := file.readline(_LONGEST):
                    number += 1
                    yield number, line
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            if not number:
                raise RecordingError(f"{self.path}: cannot be read: {error}") from error
            self.warn(f"{self.path}: is damaged after line {number}: {error}")
        except OSError as error:
            raise RecordingError(f"{self.path}: cannot be read: {error.strerror}") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    """Open a file that may be compressed."""
    with path.open("rb") as file:
        is_packed = file.read(len(_GZIP)) == _GZIP
    with path.open("rb") if not is_packed else gzip.open(path, "rb") as content:
        yield cast("BufferedReader", content)


def _scrape(line: bytes, *, after: float) -> Scrape:
    """Return what a line holds.

    Args:
        line: of the file.
        after: Unix seconds of the line above.

    Raises:
        _LineError: it is no scrape; the message says why.
    """
    try:
        content: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise _LineError("is not JSON") from None
    if not isinstance(content, dict):
        raise _LineError("is not an object")
    missing = [key for key in ("t", "path", "code") if key not in content]
    if missing:
        raise _LineError(f"lacks {', '.join(missing)}")
    time, path, code, body = content["t"], content["path"], content["code"], content.get("body")
    if not _is_number(time) or not isinstance(path, str) or not path.startswith("/"):
        raise _LineError("t is no time or path no path")
    if time < after:
        raise _LineError("its time is before that of the line above")
    if code is not None and (not isinstance(code, int) or isinstance(code, bool)):
        raise _LineError("code is no HTTP status")
    if not isinstance(body, str | None):
        raise _LineError("body is no text")
    duration = content.get("dt", 0.0)
    return Scrape(
        time=float(time),
        path=path,
        code=code,
        # A lone surrogate is no text that a server could have sent.
        body=(body or "").encode("utf-8", "replace"),
        duration=float(duration) if _is_number(duration) and duration >= 0 else 0.0,
        error=str(content.get("err") or ""),
    )


def _is_number(value: Any) -> bool:
    """Return whether a value is a finite number."""
    try:
        return not isinstance(value, bool) and math.isfinite(value)
    except (TypeError, OverflowError):
        return False


def looks_captured(path: Path) -> bool:
    """Return whether one of the first lines of a file is a scrape, or its name says so.

    Raises:
        RecordingError: the file cannot be read.
    """
    try:
        with _opened(path) as file:
            for _line in range(_TOLD + 1):
                with contextlib.suppress(_LineError):
                    _scrape(file.readline(_LONGEST), after=-math.inf)
                    return True
    except (EOFError, zlib.error, gzip.BadGzipFile):
        pass
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror or error}") from error
    return ".metrics.jsonl" in path.name
