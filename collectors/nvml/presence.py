"""Which GPUs there were, are and should be again, by uuid; and what is said when that changes."""

from collections.abc import Mapping
from types import MappingProxyType

from agent.catalog import gpu as catalog
from agent.catalog.events import pci_bus_id
from agent.model import Event, SeriesTable
from collectors.nvml import messages
from collectors.nvml.codes import RESET_REQUIRED
from collectors.nvml.layout import Device, Layout

SOURCE = "nvml"


class Presence:
    """Remembers every whole GPU ever seen; MIG instances come and go as they are made."""

    def __init__(self, table: SeriesTable) -> None:
        self._table = table
        self._known: dict[str, Device] = {}
        self._down: dict[str, int] = {}
        self._refused: set[tuple[str, str, str]] = set()
        self.samples: dict[int, float] = {}

    @property
    def missing(self) -> int:
        """How many known GPUs do not answer."""
        return len(self._down)

    def update(self, layout: Layout, *, time: float) -> list[Event]:
        """Compare with the layout before; sets `samples` and returns what changed."""
        events: list[Event] = []
        table = self._table
        whole = {uuid: device for uuid, device in layout.up.items() if not device.mig}
        for uuid, device in whole.items():
            before = self._known.get(uuid)
            self._known[uuid] = device
            if self._down.pop(uuid, None) is not None:
                events.append(_about(device, "gpu_returned", "answers again", time))
            if before is not None and before.index != device.index:
                text = f"was at index {before.index} and is now at index {device.index}"
                events.append(_about(device, "gpu_renumbered", text, time))
        for uuid, device in self._known.items():
            if uuid in whole:
                continue
            # With no uuid to go by, an index that does not answer is the GPU that had it last.
            code = layout.down.get(uuid) or layout.down_at.get(device.index, 0)
            if uuid not in self._down or code not in (0, self._down[uuid]):
                kind = "gpu_reset_required" if code == RESET_REQUIRED else "gpu_lost"
                events.append(_about(device, kind, messages.down(code), time))
            self._down[uuid] = code
        self.samples = {
            table.intern(catalog.UP, device.labels): float(uuid in layout.up)
            for uuid, device in {**self._known, **layout.up}.items()
        }
        for device in whole.values():
            labels = (device.gpu, device.uuid)
            self.samples[table.intern(catalog.INDEX, labels)] = float(device.index)
        self.samples[table.intern(catalog.GPUS)] = float(len(whole))
        return events

    def event(self, said: Mapping[str, str], *, time: float) -> Event | None:
        """Return the event that the child told of; None where it was told by a child before."""
        if said["kind"] == "gpu_read_refused":
            what = (said["uuid"], said["gpu"], said["what"])
            if what in self._refused:
                return None
            self._refused.add(what)
        known = self._known.get(said["uuid"])
        labels = {
            "gpu": known.gpu if known else said["gpu"],
            "uuid": said["uuid"],
            "pci_bus_id": pci_bus_id(said["pci"]),
            "code": said["code"],
        }
        gpu = f"GPU {labels['gpu']} ({labels['pci_bus_id']})"
        message = {
            "xid": f"XID {said['code']} on {gpu}",
            "mig_changed": f"MIG instances of {gpu} were changed",
            "gpu_unavailable": f"{gpu} became unavailable",
            "gpu_recovery_action": f"{gpu} asks for recovery action {said['code']}",
            "gpu_read_refused": f"no right to read {said.get('what', '')} of {gpu}",
        }.get(said["kind"], f"{said['kind']} on {gpu}")
        return Event(time, said["kind"], SOURCE, MappingProxyType(labels), message)


def _about(device: Device, kind: str, text: str, time: float) -> Event:
    labels = {"gpu": device.gpu, "uuid": device.uuid, "pci_bus_id": device.pci_bus_id}
    message = f"GPU {device.gpu} ({device.pci_bus_id}) {text}"
    return Event(time, kind, SOURCE, MappingProxyType(labels), message)
