"""How well the system clock is kept, as the kernel knows it."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agent.catalog import host as catalog
from agent.model import SeriesTable
from collectors.readings import ReadingBuilder

_STA_UNSYNC: Final = 0x0040
_STA_NANO: Final = 0x2000


class _Timex(ctypes.Structure):
    """`struct timex` of `<sys/timex.h>`, adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


@dataclass(frozen=True, slots=True)
class ClockState:
    """What the kernel says of its clock.

    Attributes:
        offset: correction still being applied, in microseconds or, with STA_NANO, nanoseconds.
        estimated_error: microseconds.
        status: the STA_ bits.
    """

    offset: int
    estimated_error: int
    status: int


def read_clock() -> Callable[[], ClockState | None]:
    """Return a function that asks the kernel; it changes nothing and needs no right.

    It gives None where the call is not allowed, as under some containers' system call filters.
    """
    adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    state = _Timex()
    where = ctypes.byref(state)

    def read() -> ClockState | None:
        state.modes = 0  # only ask
        if adjtimex(where) < 0:
            return None
        return ClockState(state.offset, state.esterror, state.status)

    return read


class ClockQuality:
    """Publishes offset, estimated error and whether a time daemon keeps the clock."""

    def __init__(self, table: SeriesTable, read: Callable[[], ClockState | None]) -> None:
        self._read = read
        self._offset = table.intern(catalog.CLOCK_OFFSET)
        self._error = table.intern(catalog.CLOCK_ESTIMATED_ERROR)
        self._synchronised = table.intern(catalog.CLOCK_SYNCHRONISED)

    def read(self, into: ReadingBuilder) -> None:
        """Add the three; the error of an unsynchronised clock is unknown and left out."""
        state = self._read()
        if state is None:
            return
        synchronised = not state.status & _STA_UNSYNC
        into.add(self._offset, state.offset / (1e9 if state.status & _STA_NANO else 1e6))
        into.add(self._synchronised, float(synchronised))
        if synchronised:
            into.add(self._error, state.estimated_error / 1e6)
