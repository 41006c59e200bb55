"""Waits for the driver's events in a thread of the child; the wait lets other threads run."""

import ctypes
import threading
from collections.abc import Callable

from collectors.nvml import driver
from collectors.nvml.codes import TIMEOUT
from collectors.nvml.fleet import Fleet, Notice

XID = 0x8
KINDS = {
    XID: "xid",
    0x100: "mig_changed",
    0x4000: "gpu_unavailable",
    0x8000: "gpu_recovery_action",
}
"""Kind of event by `nvmlEventType*`."""

WAIT_MS = 5000
"""Longest wait at a time: until then a GPU listed since is not listened to."""
RETRY = 1.0
"""Seconds until the next try where there are no events to be had."""


class Waiting(threading.Thread):
    """Turns driver events into notices; others than an XID have the devices listed anew.

    Args:
        fleet: whose GPUs are listened to; its `generation` says when to begin afresh.
        notice: takes events; called from this thread.
        realtime: Unix seconds.
    """

    def __init__(self, fleet: Fleet, notice: Notice, *, realtime: Callable[[], float]) -> None:
        super().__init__(name="nvml-events", daemon=True)
        self._fleet = fleet
        self._notice = notice
        self._realtime = realtime
        self._pause = threading.Event()

    def run(self) -> None:
        """Listen for ever; the process ends around this thread."""
        while True:
            generation = self._fleet.generation
            try:
                self._listen(generation)
            except driver.NvmlError:
                # No events on this driver, a lost GPU in the set: try again, in no hurry.
                self._pause.wait(RETRY)

    def _listen(self, generation: int) -> None:
        """Listen until devices are listed anew."""
        events = driver.events_create()
        try:
            listened: dict[int, dict[str, str]] = {}
            for device in self._fleet.devices:
                if not device.facts["mig"] and self._register(device.handle, events):
                    listened[_address(device.handle)] = device.facts
            while self._fleet.generation == generation:
                if not listened:
                    self._pause.wait(RETRY)
                    continue
                try:
                    event = driver.events_wait(events, WAIT_MS)
                except driver.NvmlError as error:
                    if driver.code_of(error) != TIMEOUT:
                        raise
                    continue
                self._take(event.eventType, event.eventData, listened.get(_address(event.device)))
        finally:
            driver.events_free(events)

    def _register(self, handle: driver.Handle, events: object) -> bool:
        """Ask for those of our events that this GPU can give; return whether it gives any."""
        try:
            mask = driver.events_supported(handle) & sum(KINDS)
            if mask:
                driver.events_register(handle, mask, events)
        except driver.NvmlError:
            return False
        return bool(mask)

    def _take(self, kind: int, data: int, facts: dict[str, str] | None) -> None:
        if facts is None or kind not in KINDS:
            return
        if kind != XID:
            self._fleet.stale = True
        self._notice(
            {
                "kind": KINDS[kind],
                "time": repr(self._realtime()),
                "code": str(data),
                **{name: facts[name] for name in ("uuid", "gpu", "pci")},
            }
        )


def _address(handle: driver.Handle) -> int:
    """Return what identifies a handle."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0  # type: ignore[arg-type]
