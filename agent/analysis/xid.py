"""Counts each XID once, although NVML and the kernel log both report it.

Each of the two sources misses some: NVML drops XIDs that come while no one listens, the kernel
log may be closed to the agent. So neither can be the only one, and both together see most twice.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from agent.catalog import events as catalog
from agent.catalog.events import pci_bus_id
from agent.model import EMPTY_READING, Event, Frame, Metric, Reading, SeriesTable

WINDOW: Final = 5.0
"""Seconds within which two sources may time the same XID differently.

Each takes the time when it learns of it: NVML's waiting call returns within milliseconds, the
journal's daemon may be seconds behind on a host in trouble. The same code twice on one GPU within
this time, once in each source alone, would be counted as one: rare, and less harm than double.
"""

_REMEMBERED: Final = 256
"""Reports of one source kept for the other to match; bounds memory in a storm of errors."""


class XidLedger:
    """Pairs the reports of the sources and counts what remains.

    A report consumes an earlier report of another source about the same GPU and code, at most
    `WINDOW` apart in time; one that finds none counts. The times are those of the events, so the
    order in which they are handed over and the interval of the sources do not matter.
    """

    def __init__(self) -> None:
        self._identities: dict[str, tuple[str, str]] = {}
        self._addresses: dict[str, str] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._newest: dict[tuple[str, str], float] = {}
        self._unmatched: dict[tuple[str, str], dict[str, deque[float]]] = {}
        self._ids: list[int] = []

    def learn(self, address: str, *, gpu: str, uuid: str) -> None:
        """Take note of which GPU is at a PCI address, in any notation."""
        known = pci_bus_id(address)
        if known and uuid:
            self._identities[known] = (gpu, uuid)
            self._addresses[uuid] = known

    def observe(self, events: Iterable[Event]) -> None:
        """Count the XIDs among these events; others are passed over."""
        for event in events:
            if event.kind != "xid":
                continue
            labels = event.labels
            uuid, gpu = labels.get("uuid", ""), labels.get("gpu", "")
            address = pci_bus_id(labels.get("pci_bus_id", ""))
            if address and uuid:
                self.learn(address, gpu=gpu, uuid=uuid)
            # Without an address the identifier of the GPU stands in for it.
            self._take(address or self._addresses.get(uuid, uuid), event)

    def _take(self, place: str, event: Event) -> None:
        """Pair an XID with the report of another source, or count it."""
        key = (place, event.labels.get("code", ""))
        self._newest[key] = max(event.time, self._newest.get(key, event.time))
        waiting = self._unmatched.setdefault(key, {})
        for source, times in waiting.items():
            if source == event.source:
                continue
            for position, time in enumerate(times):
                if abs(time - event.time) <= WINDOW:
                    del times[position]
                    return
        waiting.setdefault(event.source, deque(maxlen=_REMEMBERED)).append(event.time)
        self._counts[key] = self._counts.get(key, 0) + 1

    def samples(self, table: SeriesTable) -> Reading:
        """Return the count and the newest time of each GPU and code that had an XID."""
        if not self._counts:
            return EMPTY_READING
        ids: list[int] = []
        values: list[float] = []
        for (place, code), count in self._counts.items():
            gpu, uuid = self._identities.get(place, ("", ""))
            # A place that is no address is the identifier of a GPU whose address no one said.
            address = place if place.count(":") > 1 else ""
            labels = (gpu, uuid or ("" if address else place), address, code)
            ids += (
                table.intern(catalog.XID_ERRORS, labels),
                table.intern(catalog.LAST_XID, labels),
            )
            values += (count, self._newest[place, code])
        if ids != self._ids:
            self._ids = ids
        return Reading(self._ids, values)


class XidErrors:
    """Counts the XIDs of each frame; learns the addresses of GPUs from their info series.

    Args:
        info: the info metric of GPUs, with the labels `gpu`, `uuid`, `mig` and `pci_bus_id`.
    """

    def __init__(self, info: Metric) -> None:
        self.ledger = XidLedger()
        self._info = info
        self._places = tuple(
            info.labels.index(name) for name in ("pci_bus_id", "gpu", "uuid", "mig")
        )
        self._seen: Sequence[int] | None = None

    def observe(self, frame: Frame) -> Reading:
        """Return the counts as of this frame."""
        if frame.ids is not self._seen:
            self._seen = frame.ids
            for series in (frame.table[series_id] for series_id in frame.ids):
                if series.metric is self._info:
                    address, gpu, uuid, mig = (series.labels[place] for place in self._places)
                    if not mig:  # an instance has the address of its GPU
                        self.ledger.learn(address, gpu=gpu, uuid=uuid)
        if frame.events:
            self.ledger.observe(frame.events)
        return self.ledger.samples(frame.table)
