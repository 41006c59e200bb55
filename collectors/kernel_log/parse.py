"""Which records of the kernel log are events: a pure function of one message."""

import re
from typing import Final

from agent.catalog.events import pci_bus_id
from agent.model import Event

SOURCE: Final = "kernel_log"

# The forms that drivers have had: with and without `PCI:`, with and without a function, with a
# MIG instance (`PCI:0000:01:00 GPU-I:05`). Switches report `SXid`, which is another thing.
_XID: Final = re.compile(
    r"NVRM: Xid \((?P<pci>(?:PCI:)?[0-9a-fA-F:.]+)(?: GPU-I:(?P<instance>\d+))?\): "
    r"(?P<code>\d+)(?:, (?P<rest>.*))?",
    re.DOTALL,
)
_XID_PID: Final = re.compile(r"pid=(\d+)(?:, |$)")
_XID_NAME: Final = re.compile(r"name=([^,<]+)(?:, |$)")

# Kernels before 5.0 announce `Out of memory: Kill process …` and report the kill in a line of
# its own that begins with `Killed`; later ones say both in one. Either way one line a kill.
_OOM: Final = re.compile(
    r"(?:^|(?P<cause>[^:]*): )Killed process (?P<pid>\d+) \((?P<name>.*?)\),? (?:UID|total-vm)"
)


def event_of(message: str, *, time: float) -> Event | None:
    """Return the event that a message of the kernel reports, or None for any other.

    Args:
        message: the text, without time and severity.
        time: Unix seconds of the message.

    Returns:
        An `xid` with the labels `pci_bus_id`, `code` and, where the driver says them, `pid`,
        `process` and `gpu_instance`; or an `oom_kill` with `pid`, `process` and `scope`, which
        is `cgroup` or `host`.
    """
    if "Xid (" in message:
        return _xid(message, time)
    if "Killed process" in message:
        return _oom_kill(message, time)
    return None


def _xid(message: str, time: float) -> Event | None:
    match = _XID.search(message)
    if match is None:
        return None
    rest = match["rest"] or ""
    pid, name = _XID_PID.search(rest), _XID_NAME.search(rest)
    labels = {
        "pci_bus_id": pci_bus_id(match["pci"]),
        "code": match["code"],
        "pid": pid[1] if pid else "",
        "process": name[1] if name else "",
        "gpu_instance": match["instance"] or "",
    }
    return Event(
        time,
        "xid",
        SOURCE,
        {label: value for label, value in labels.items() if value},
        f"XID {match['code']} on the GPU at {labels['pci_bus_id']}: {rest or 'no details'}",
    )


def _oom_kill(message: str, time: float) -> Event | None:
    match = _OOM.search(message)
    if match is None:
        return None
    scope = "cgroup" if "cgroup" in (match["cause"] or "") else "host"
    return Event(
        time,
        "oom_kill",
        SOURCE,
        {"pid": match["pid"], "process": match["name"], "scope": scope},
        f"out of memory: the kernel killed {match['name']} (process {match['pid']})",
    )
