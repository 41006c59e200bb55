"""The agent's view of what the child sends: which series the numbers belong to."""

import json
from collections.abc import MutableMapping
from dataclasses import dataclass, field

from agent.catalog import gpu as catalog
from agent.catalog.events import pci_bus_id
from agent.model import SeriesTable

WRAPPING = (catalog.PCIE_TRANSMIT, catalog.PCIE_RECEIVE)
"""Counters that begin anew at 2^32 on some drivers."""
WRAP = 2.0**32


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU or a MIG instance, as the driver lists it.

    Attributes:
        uuid: its identity.
        gpu: the label: the index at which the agent first saw the GPU.
        index: the index now; of an instance that of its GPU.
        mig: which instance; empty for a whole GPU.
        pci_bus_id: its address.
    """

    uuid: str
    gpu: str
    index: str
    mig: str
    pci_bus_id: str

    @property
    def labels(self) -> tuple[str, str, str]:
        """Values of the labels that name a device."""
        return self.gpu, self.uuid, self.mig


@dataclass(slots=True)
class Layout:
    """One LAYOUT frame.

    Attributes:
        up: devices that answer, by uuid.
        down: return code of devices that do not, by uuid.
        down_at: return code of those whose uuid the driver did not say, by index now.
        ids: series of the columns, in order.
        wrapping: positions in `ids` of counters that may wrap, with their series.
        facts: series of the `_info` samples, each 1.
    """

    up: dict[str, Device] = field(default_factory=dict)
    down: dict[str, int] = field(default_factory=dict)
    down_at: dict[str, int] = field(default_factory=dict)
    ids: list[int] = field(default_factory=list)
    wrapping: list[tuple[int, int]] = field(default_factory=list)
    facts: list[int] = field(default_factory=list)


def parse(body: bytes, table: SeriesTable, names: MutableMapping[str, str]) -> Layout:
    """Return what a LAYOUT frame says.

    Args:
        body: of the frame.
        table: interns the series.
        names: the label `gpu` of each uuid of a whole GPU; those not seen before are added.
    """
    said = json.loads(body)
    layout = Layout()
    devices: list[Device] = []
    gpus: dict[str, str] = {
        facts["gpu"]: names.setdefault(facts["uuid"], facts["gpu"])
        for facts in [*said["devices"], *said["down"]]
        if facts["uuid"] and not facts["mig"]
    }
    for facts in said["devices"]:
        index: str = facts["gpu"]
        gpu = gpus.get(index, index)
        device = Device(facts["uuid"], gpu, index, facts["mig"], pci_bus_id(facts["pci"]))
        devices.append(device)
        layout.up[device.uuid] = device
        layout.facts.append(
            table.intern(
                catalog.INFO,
                (
                    *device.labels,
                    facts["name"],
                    facts["serial"],
                    device.pci_bus_id,
                    said["driver"]["driver_version"],
                    said["driver"]["cuda_version"],
                    facts["mig_mode"],
                    facts["memory_kind"],
                ),
            )
        )
    for facts in said["down"]:
        if facts["uuid"]:
            layout.down[facts["uuid"]] = int(facts["code"])
        else:
            layout.down_at[facts["gpu"]] = int(facts["code"])
    for number, name, *extra in said["columns"]:
        metric = catalog.BY_COLUMN[name]
        series = table.intern(metric, (*devices[number].labels, *extra))
        if metric in WRAPPING:
            layout.wrapping.append((len(layout.ids), series))
        layout.ids.append(series)
    return layout


class Unwrapper:
    """Turns a counter that begins anew at 2^32 into one that does not."""

    def __init__(self) -> None:
        self._last: dict[int, float] = {}
        self._carried: dict[int, float] = {}

    def apply(self, layout: Layout, values: list[float]) -> None:
        """Correct the wrapping counters among `values` in place.

        A fall from below 2^32 is one wrap if the counter was in the upper half of its range;
        any other fall is a reset (the driver was reloaded) and is passed on as it is.
        """
        for position, series in layout.wrapping:
            raw = values[position]
            last = self._last.get(series, 0.0)
            if raw < last:
                wrapped = WRAP / 2 <= last < WRAP
                self._carried[series] = self._carried.get(series, 0.0) + WRAP if wrapped else 0.0
            self._last[series] = raw
            values[position] = raw + self._carried.get(series, 0.0)
