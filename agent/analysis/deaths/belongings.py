"""Which processes and GPUs belong to which engine, also a while after they are gone."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from agent.analysis.deaths.page import Instance
from agent.catalog import placement
from agent.catalog.events import pci_bus_id
from agent.catalog.gpu import INFO, PROCESS_MEMORY
from agent.model import Event, Frame, Series

FORGET: Final = 900.0
"""Seconds after which an engine, a process or a GPU that is no longer seen is forgotten."""

# Names that engines give their processes, of which the kernel keeps 15 bytes.
_NAMES: Final = (("VLLM::", "vllm"), ("vllm", "vllm"), ("llama-server", "llamacpp"))


class Belongings:
    """Follows the processes of engines and where the driver lists them.

    Where the configuration says on which GPUs an engine runs, these count alone.
    """

    def __init__(self) -> None:
        self._seen: Sequence[int] | None = None
        self._owners: dict[str, tuple[Instance, float]] = {}
        self._gpus: dict[tuple[Instance, str], float] = {}
        self._shown: tuple[set[str], set[tuple[Instance, str]]] = (set(), set())
        self._addresses: dict[str, str] = {}
        self._indexes: dict[str, str] = {}
        self._pinned: set[tuple[Instance, str]] = set()

    def follow(self, frame: Frame) -> None:
        """Take over what a frame shows; there is news only where it has other series."""
        if frame.ids is self._seen:
            return
        self._seen = frame.ids
        time = frame.time
        # What was shown until now was seen until now.
        pids, pairs = self._shown
        self._owners.update({pid: (self._owners[pid][0], time) for pid in pids})
        self._gpus.update(dict.fromkeys(pairs, time))
        held: list[tuple[str, str]] = []
        pids = set()
        self._pinned = set()
        for series in map(frame.table.__getitem__, frame.ids):
            if series.metric is placement.PROCESS_INFO:
                pid = _label(series, "pid")
                pids.add(pid)
                self._owners[pid] = ((series.labels[0], series.labels[1]), time)
            elif series.metric is PROCESS_MEMORY:
                held.append((_label(series, "pid"), _label(series, "uuid")))
            elif series.metric is placement.PINNED_INFO:
                owner = (series.labels[0], series.labels[1])
                self._pinned.add((owner, _label(series, "device")))
            elif series.metric is INFO and not _label(series, "mig"):
                uuid = _label(series, "uuid")
                self._addresses[pci_bus_id(_label(series, "pci_bus_id"))] = uuid
                self._indexes[_label(series, "gpu")] = uuid
        pairs = {(self._owners[pid][0], uuid) for pid, uuid in held if pid in self._owners}
        self._gpus.update(dict.fromkeys(pairs, time))
        self._shown = pids, pairs
        # Numbers of processes are given again.
        self._owners = {pid: one for pid, one in self._owners.items() if _young(time - one[1])}
        self._gpus = {pair: seen for pair, seen in self._gpus.items() if _young(time - seen)}

    def concerned(self, event: Event, engines: Collection[Instance]) -> list[Instance]:
        """Return the engines that an `xid` or an `oom_kill` is about.

        Args:
            event: from the driver or the kernel.
            engines: those that are watched.
        """
        known = self._owners.get(event.labels.get("pid", ""))
        if known is not None:
            return [known[0]] if known[0] in engines else []
        if event.kind == "oom_kill":
            # A process younger than the last walk over them all.
            name = event.labels.get("process", "")
            kinds = {kind for start, kind in _NAMES if name.startswith(start)}
            return [one for one in engines if one[0] in kinds]
        gpu = self._gpu(event.labels)
        return [one for one in engines if self._runs_on(one, gpu, alone=len(engines) == 1)]

    def _runs_on(self, engine: Instance, gpu: str, *, alone: bool) -> bool:
        """Return whether an engine runs on a GPU, or may where nothing says on which it runs."""
        pinned = {self._indexes.get(gpu, gpu) for owner, gpu in self._pinned if owner == engine}
        gpus = pinned or {uuid for owner, uuid in self._gpus if owner == engine}
        if gpus:
            return gpu in gpus
        return alone or len(self._addresses) == 1

    def _gpu(self, labels: Mapping[str, str]) -> str:
        """Return the identifier of the GPU that an event is about; empty where it is not known."""
        uuid = labels.get("uuid", "")
        return uuid or self._addresses.get(pci_bus_id(labels.get("pci_bus_id", "")), "")


def _young(seconds: float) -> bool:
    """Return whether something was seen not long ago."""
    return abs(seconds) < FORGET


def _label(series: Series, name: str) -> str:
    """Return the value of a label."""
    return series.labels[series.metric.labels.index(name)]
