"""Processes that are no children of the agent, held by a descriptor that outlives them.

Whoever holds such a descriptor (pidfd_open(2)) learns from it how the process ended, once its
parent has taken note of that: without a right, and since Linux 6.15 (PIDFD_GET_INFO with
PIDFD_INFO_EXIT, `include/uapi/linux/pidfd.h`).
"""

import fcntl
import os
import struct
from contextlib import suppress
from typing import Final

from collectors.procfs import Descriptor

# _IOWR(0xFF, 11, struct pidfd_info), whose first version has 64 bytes: the mask of what is wanted,
# then of what is known, comes first and the exit code last.
_SIZE: Final = 64
_GET_INFO: Final = (3 << 30) | (_SIZE << 16) | (0xFF << 8) | 11
_EXIT: Final = 1 << 3
_MASK: Final = struct.Struct("=Q")
_CODE: Final = struct.Struct("=i")


class Held(Descriptor):
    """A process that is held; letting go of the object lets go of it.

    Args:
        pid: of the process.

    Raises:
        OSError: there is no such process, or the kernel does not let it be held.
    """

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    def exit_code(self) -> int | None:
        """Return how it ended as wait(2) gives it; None while it runs or nobody took note of it.

        Raises:
            OSError: the kernel does not say.
        """
        if self._fd is None:
            return None
        wanted = bytearray(_SIZE)
        _MASK.pack_into(wanted, 0, _EXIT)
        fcntl.ioctl(self._fd, _GET_INFO, wanted)
        known: int = _MASK.unpack_from(wanted, 0)[0]
        code: int = _CODE.unpack_from(wanted, _SIZE - _CODE.size)[0]
        return code if known & _EXIT else None


def hold(pid: int) -> Held | None:
    """Return a process that is held, or None where the kernel would not tell of its end."""
    with suppress(OSError, AttributeError):  # not every Python has pidfd_open
        held = Held(pid)
        held.exit_code()
        return held
    return None
