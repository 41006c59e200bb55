"""How the C library deals with memory that is freed.

A page is some 350 KB, made and let go each second. glibc gives so much back to the kernel at once
and has it handed out again, page by page and zeroed, a second later. What is larger is made now
and then, and would leave holes that small things fill: it goes back at once.
"""

import contextlib
import ctypes
from typing import Final

KEPT: Final = 2 << 20
"""Bytes that may be kept."""

PIECE: Final = 1 << 20
"""Bytes that one piece of memory may have to be kept."""

# The parameters of mallopt(3) in malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def keep_freed_memory() -> None:
    """Have this process keep what it frees for the next time; does nothing without glibc."""
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, KEPT)
        mallopt(_M_MMAP_THRESHOLD, PIECE)
        # One interpreter's threads take turns anyway; what one frees serves another.
        mallopt(_M_ARENA_MAX, 1)
