"""What happens once and is counted: XIDs; and the log that reports it."""

import re
from typing import Final

from agent.catalog.declare import counter, gauge
from agent.model import History

XID_LABELS = ("gpu", "uuid", "pci_bus_id", "code")

XID_ERRORS = counter(
    "gpu_xid_errors",
    "XID errors by code, each once, whether NVML, the kernel log or both reported it.",
    *XID_LABELS,
    source="NVML events and kernel log",
)
LAST_XID = gauge(
    "gpu_last_xid_timestamp_seconds",
    "Unix time of the newest XID error of this code; a first one is seen here without a rate.",
    *XID_LABELS,
    source="NVML events and kernel log",
)
LOG_LOST = counter(
    "kernel_log_lost_records",
    "Records that the kernel overwrote before the agent read them.",
    source="/dev/kmsg",
    history=History.FIVE_MINUTES,
)

_PCI: Final = re.compile(
    r"(?:PCI:)?([0-9a-f]{1,8}):([0-9a-f]{1,2}):([0-9a-f]{1,2})(?:\.[0-7])?", re.IGNORECASE
)


def pci_bus_id(text: str) -> str:
    """Return the form that the label `pci_bus_id` has everywhere, `0000:3b:00`.

    NVML and DCGM write eight digits of domain, upper case and a function (`00000000:3B:00.0`),
    the kernel log four, lower case and mostly none. Text that is no such address is returned
    in lower case.
    """
    match = _PCI.fullmatch(text.strip())
    if match is None:
        return text.strip().lower()
    domain, bus, device = (int(part, 16) for part in match.groups())
    return f"{domain:04x}:{bus:02x}:{device:02x}"
