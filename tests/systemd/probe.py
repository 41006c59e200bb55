"""Runs inside the unit's sandbox, in the container, and prints what it may do there as JSON."""

import ctypes
import json
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

TIMEX_SIZE = 256  # larger than `struct timex` of any ABI; zeroes only ask


def outcome(act: Callable[[], object]) -> str:
    """Return "ok", or the name of the error."""
    try:
        act()
    except OSError as error:
        return os.strerror(error.errno) if error.errno else repr(error)
    except (MemoryError, subprocess.SubprocessError) as error:
        return repr(error)
    return "ok"


def adjtimex() -> None:
    """Ask the kernel how well its clock is kept."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.create_string_buffer(TIMEX_SIZE)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")


def callback() -> None:
    """Have C call Python, for which libffi needs memory to execute."""
    values = (ctypes.c_int * 2)(2, 1)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda _a, _b: 0)
    ctypes.CDLL(None).qsort(values, 2, ctypes.sizeof(ctypes.c_int), compare)


def write_and_execute() -> None:
    """Map memory that can be written and executed."""
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def journal() -> None:
    """Read one entry of the system's journal."""
    subprocess.run(
        ["/usr/bin/journalctl", "--lines=1", "--quiet", "_PID=1"],
        check=True,
        capture_output=True,
        timeout=10,
    )


def write(path: str) -> Callable[[], object]:
    """Return an attempt to make a file."""
    return lambda: Path(path).write_text("probe", "ascii")


stranger = Path("/proc", sys.argv[1])
print(  # noqa: T201 - the point of it
    json.dumps(
        {
            "uid is root": os.getuid() == 0,
            "device": outcome(lambda: os.open("/dev/nvidiactl", os.O_RDWR)),
            "kmsg": outcome(lambda: os.open("/dev/kmsg", os.O_RDONLY)),
            "command line": (stranger / "cmdline").read_text("utf-8").replace("\0", " ").strip(),
            "count of descriptors": (stranger / "fd").stat().st_size,
            "file descriptors": outcome(lambda: list((stranger / "fd").iterdir())),
            "journal": outcome(journal),
            "adjtimex": outcome(adjtimex),
            "callback": outcome(callback),
            "write and execute": outcome(write_and_execute),
            "write anywhere": outcome(write("/srv/open/probe")),
            "write state": outcome(write("/var/lib/inferwatch/probe")),
            "step back": outcome(lambda: os.setpriority(os.PRIO_PROCESS, 0, 10)),
            "go first": outcome(lambda: os.setpriority(os.PRIO_PROCESS, 0, -5)),
            "raw socket": outcome(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        }
    )
)
