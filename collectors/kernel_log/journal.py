"""Follows systemd's journal: the kernel log where `/dev/kmsg` may not be read, and units.

One `journalctl` follows the journal and is read without waiting. It needs no capability, only
membership in the group `systemd-journal`.
"""

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from agent.model import Event, SourceError, UnavailableError
from collectors.kernel_log.parse import event_of

JOURNAL_FOLDERS: Final = (Path("/run/log/journal"), Path("/var/log/journal"))

KERNEL_COMMAND: Final = (
    "journalctl",
    "--dmesg",
    "--follow",
    "--lines=0",
    "--output=json",
    "--output-fields=MESSAGE,SYSLOG_FACILITY",
    "--no-pager",
    "--quiet",
)
_KERNEL: Final = "0"
_CHUNK: Final = 1 << 16
_CHUNKS_PER_LOOK: Final = 16
_PIPE: Final = _CHUNK * _CHUNKS_PER_LOOK
"""Bytes that wait for a look; with the 64 KiB of a pipe a unit that writes more a second falls
behind further and further."""
_LINE_MAX: Final = 1 << 20
_GRACE: Final = 0.5

T = TypeVar("T")


def check_access(folders: Sequence[Path]) -> None:
    """Make sure that the system's journal may be read.

    `journalctl` follows an empty journal without a word when it may see none, so this is asked
    of the files.

    Raises:
        UnavailableError: there is no journal, or a right is missing.
    """
    # A folder that may be entered but not listed gives no files, like one that is not there.
    files = [file for folder in folders for file in folder.glob("*/system.journal")]
    if any(os.access(file, os.R_OK) for file in files):
        return
    if files or any(folder.exists() and not _listable(folder) for folder in folders):
        raise UnavailableError(
            "the journal may not be read: add the agent's user to the group systemd-journal"
        )
    raise UnavailableError("there is no systemd journal on this host")


def _listable(folder: Path) -> bool:
    """Return whether a folder and what is directly in it may be listed."""
    return all(
        os.access(each, os.R_OK | os.X_OK)
        for each in (folder, *(child for child in folder.glob("*") if child.is_dir()))
    )


class JournalReader(Generic[T]):
    """Follows the journal with one child process; made by `start`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        output: int,
        errors: int,
        parse: Callable[[bytes], T | None],
    ) -> None:
        self._process = process
        self._parse = parse
        self._output = output
        self._errors = errors
        self._rest = b""
        self.lost = 0

    @classmethod
    async def start(
        cls,
        folders: Sequence[Path],
        *,
        command: Sequence[str],
        parse: Callable[[bytes], T | None],
    ) -> "JournalReader[T]":
        """Start to follow from now on.

        Args:
            folders: where the journal keeps its files.
            command: that prints entries as lines of JSON.
            parse: returns what is wanted of an entry, or None.

        Raises:
            UnavailableError: there is no journal or no `journalctl`, or a right is missing.
        """
        check_access(folders)
        output, output_end = os.pipe()
        errors, errors_end = os.pipe()
        with contextlib.suppress(OSError):  # fs.pipe-max-size may be less, or the user's share
            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output_end,
                stderr=errors_end,
            )
        except BaseException as error:
            os.close(output)
            os.close(errors)
            if not isinstance(error, OSError):
                raise
            raise UnavailableError(f"journalctl cannot be started: {error.strerror}") from error
        finally:
            os.close(output_end)
            os.close(errors_end)
        os.set_blocking(output, False)
        os.set_blocking(errors, False)
        return cls(process, output, errors, parse)

    async def read(self) -> list[T]:
        """Return what is wanted of the entries since the last call; never waits.

        Raises:
            SourceError: `journalctl` ended; a new reader has to be started.
        """
        found: list[T] = []
        ended = False
        for _ in range(_CHUNKS_PER_LOOK):
            try:
                chunk = os.read(self._output, _CHUNK)
            except BlockingIOError:
                break
            if not chunk:
                ended = True
                break
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            if len(self._rest) > _LINE_MAX:
                self._rest = b""
            found += [one for one in map(self._parse, lines) if one is not None]
        if ended and not found:
            raise SourceError(f"journalctl ended: {self._last_words() or 'without a word'}")
        return found

    def _last_words(self) -> str:
        """Return the last line that the process wrote as an error."""
        try:
            text = os.read(self._errors, _CHUNK).decode("utf-8", "replace").strip()
        except BlockingIOError:
            return ""
        return text.rsplit("\n", 1)[-1]

    async def aclose(self) -> None:
        """End the process, by force when it does not listen; safe to call twice."""
        if self._output < 0:
            return
        output, errors, self._output, self._errors = self._output, self._errors, -1, -1
        os.close(output)
        os.close(errors)
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _GRACE)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()


def kernel_event(line: bytes) -> Event | None:
    """Return the event of one journal entry in JSON, or None."""
    if b"Xid (" not in line and b"Killed process" not in line and b"[" not in line:
        return None
    try:
        entry: dict[str, Any] = json.loads(line)
        if entry.get("SYSLOG_FACILITY", _KERNEL) != _KERNEL:
            return None  # written by a program through /dev/kmsg
        message = entry["MESSAGE"]
        # Text that is not clean UTF-8 is written as a list of bytes (journal export formats).
        if isinstance(message, list):
            message = bytes(message).decode("utf-8", "replace")
        time = int(entry["__REALTIME_TIMESTAMP"]) * 1e-6
    except (ValueError, KeyError, TypeError):
        return None
    return event_of(message, time=time) if isinstance(message, str) else None
