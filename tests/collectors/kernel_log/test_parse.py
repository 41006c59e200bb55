"""Which lines of the kernel log are events."""

import pytest

from collectors.kernel_log.parse import event_of
from tests.collectors.kernel_log.messages import KILLED

# The forms in which drivers and kernels of the last ten years write these messages.
MESSAGES: list[tuple[str, str, dict[str, str]]] = [
    (
        "NVRM: Xid (PCI:0000:01:00): 79, pid=1122, GPU has fallen off the bus.",
        "xid",
        {"pci_bus_id": "0000:01:00", "code": "79", "pid": "1122"},
    ),
    (
        "NVRM: Xid (PCI:0000:23:00): 79, GPU has fallen off the bus.",
        "xid",
        {"pci_bus_id": "0000:23:00", "code": "79"},
    ),
    (
        "NVRM: Xid (PCI:0000:dc:00): 45, pid=181899, name=python3, Ch 1 caused by previous Xid 149",
        "xid",
        {"pci_bus_id": "0000:dc:00", "code": "45", "pid": "181899", "process": "python3"},
    ),
    (
        "NVRM: Xid (PCI:0000:00:08): 94, pid='<unknown>', name=<unknown>, Contained: SM. RST: No",
        "xid",
        {"pci_bus_id": "0000:00:08", "code": "94"},
    ),
    (
        "NVRM: Xid (PCI:0019:01:00): 149, NETIR Fatal XC0 i0 Link -1 (0x000fe406 0x00000000)",
        "xid",
        {"pci_bus_id": "0019:01:00", "code": "149"},
    ),
    (
        "NVRM: Xid (PCI:0000:01:00): 32, Channel ID 00000000 intr 00004000",
        "xid",
        {"pci_bus_id": "0000:01:00", "code": "32"},
    ),
    (
        "NVRM: Xid (0000:03:00): 13, 0003 00000000 00008597 00000d78 00000000 00000004",
        "xid",
        {"pci_bus_id": "0000:03:00", "code": "13"},
    ),
    (
        "NVRM: Xid (PCI:0000:3B:00.0): 119, pid=7, name=nvidia-smi, Timeout after 6s of waiting",
        "xid",
        {"pci_bus_id": "0000:3b:00", "code": "119", "pid": "7", "process": "nvidia-smi"},
    ),
    (
        "NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=7194, Contained: CE User Channel (0x9).",
        "xid",
        {"pci_bus_id": "0000:01:00", "code": "94", "pid": "7194", "gpu_instance": "05"},
    ),
    (
        KILLED,
        "oom_kill",
        {"pid": "4242", "process": "vllm", "scope": "host"},
    ),
    (
        "Memory cgroup out of memory: Killed process 28914 (llama-server) total-vm:24kB, UID:0",
        "oom_kill",
        {"pid": "28914", "process": "llama-server", "scope": "cgroup"},
    ),
    (
        "Killed process 8425 (java), UID 1001, total-vm:5kB, anon-rss:4kB, file-rss:0kB",
        "oom_kill",
        {"pid": "8425", "process": "java", "scope": "host"},
    ),
    (
        "Killed process 77 (VLLM::Worker (1)) total-vm:5kB, anon-rss:4kB, file-rss:0kB",
        "oom_kill",
        {"pid": "77", "process": "VLLM::Worker (1)", "scope": "host"},
    ),
]

OTHER = [
    "Out of memory: Kill process 1234 (python3) score 900 or sacrifice child",
    "oom_reaper: reaped process 28914 (llama-server), now anon-rss:0kB",
    "nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32 egress non-posted",
    "NVRM: GPU at PCI:0000:00:05: GPU-efbdfde9-5798-a6e7-4c46-12518fa15375",
    "NVRM: Xid (garbage",
    "eth0: link up",
    "",
]


@pytest.mark.parametrize(("message", "kind", "labels"), MESSAGES)
def test_event(message: str, kind: str, labels: dict[str, str]) -> None:
    """Every known form gives its event with what it says and no label that it does not."""
    event = event_of(message, time=12.5)
    assert event is not None
    assert (event.kind, event.labels, event.time, event.source) == (
        kind,
        labels,
        12.5,
        "kernel_log",
    )
    assert event.message


@pytest.mark.parametrize("message", OTHER)
def test_no_event(message: str) -> None:
    """What only resembles an event is none; above all, one kill is never two events."""
    assert event_of(message, time=0.0) is None
