"""The kernel log from the kernel itself: `/dev/kmsg`, without waiting and without a process.

Format: Documentation/ABI/testing/dev-kmsg. A record is `prefix;text`, the prefix
`priority,sequence,microseconds,flags`; lines that begin with a space add properties to it.
"""

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.model import Clock, Event, UnavailableError
from collectors.kernel_log.parse import event_of

# Longer than any record: with a smaller buffer the kernel refuses to give a record at all.
_RECORD_MAX: Final = 1 << 14
_RECORDS_PER_LOOK: Final = 2000
_FACILITY_SHIFT: Final = 3
_ESCAPE: Final = re.compile(r"\\x([0-9a-f]{2})")


class KmsgReader:
    """Reads the records that came since the reader was made.

    Args:
        path: the device; a FIFO stands in for it in tests.
        clock: places the kernel's time since boot in Unix time.
        read: reads one record; stands for what a test cannot make a file do.

    Raises:
        UnavailableError: the device is not there or may not be read.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        read: Callable[[int, int], bytes] = os.read,
    ) -> None:
        self._clock = clock
        self._read = read
        self._looked = clock.time()
        self._sequence: int | None = None
        self._overwritten = False
        self.lost = 0
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise UnavailableError(f"{path} does not exist") from error
        except OSError as error:
            raise UnavailableError(
                f"{path} may not be read ({error.strerror}): with kernel.dmesg_restrict=1 it takes "
                "CAP_SYSLOG"
            ) from error
        with contextlib.suppress(OSError):  # a FIFO has no end to seek; it begins empty
            os.lseek(self._fd, 0, os.SEEK_END)

    async def read(self) -> list[Event]:
        """Return the events among the records since the last call; never waits.

        A flood is read in pieces, so that it cannot hold up a tick.
        """
        events: list[Event] = []
        before, self._looked = self._looked, self._clock.time()
        for _ in range(_RECORDS_PER_LOOK):
            try:
                record = self._read(self._fd, _RECORD_MAX)
            except BlockingIOError:
                break
            except BrokenPipeError:
                # The ring went over the place where this reader was; the next record says how far.
                self._overwritten = True
                continue
            if not record:
                break
            for line in record.decode("utf-8", "replace").split("\n"):
                if line and not line.startswith(" "):
                    event = self._take(line, before)
                    if event is not None:
                        events.append(event)
        return events

    def _take(self, line: str, before: float) -> Event | None:
        """Count what was lost before a record, and return its event if it is one."""
        prefix, _, text = line.partition(";")
        fields = prefix.split(",")
        try:
            priority, sequence, microseconds = (int(field) for field in fields[:3])
        except ValueError:
            return None
        if self._overwritten and self._sequence is not None:
            self.lost += max(0, sequence - self._sequence - 1)
        self._overwritten = False
        self._sequence = sequence
        if priority >> _FACILITY_SHIFT:
            return None  # written by a program, not by the kernel
        # The kernel's clock drifts from the system's over weeks, but a record found by this look
        # is no older than the look before.
        age = self._clock.monotonic() - microseconds * 1e-6
        time = min(self._looked, max(before, self._looked - age))
        return event_of(_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text), time=time)

    async def aclose(self) -> None:
        """Close the device; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
