"""Bytes through the network interfaces that are hardware."""

import psutil

from agent.catalog import host as catalog
from agent.model import SeriesTable
from collectors.procfs import HostPaths, psutil_reads
from collectors.readings import ReadingBuilder


class Network:
    """Reads `/proc/net/dev` for physical interfaces.

    Bridges, bonds, VLANs and virtual Ethernet repeat what a physical interface counts already,
    and containers make them come and go. Where nothing is physical, as inside a container, all
    interfaces but the loopback are taken.
    """

    def __init__(self, table: SeriesTable, paths: HostPaths) -> None:
        self._table = table
        self._proc = paths.proc
        self._devices = paths.sys / "class/net"
        self._known: frozenset[str] = frozenset()
        self._series: list[tuple[str, int, int]] = []

    def read(self, into: ReadingBuilder) -> None:
        """Add bytes received and sent by interface."""
        try:
            with psutil_reads(self._proc):
                # Wrap-around belongs to kernels of 32 bits; looking for it costs.
                counters = psutil.net_io_counters(pernic=True, nowrap=False)
        except (FileNotFoundError, PermissionError):
            return
        if counters.keys() != self._known:
            self._choose(frozenset(counters))
        for name, received, sent in self._series:
            into.add(received, counters[name].bytes_recv)
            into.add(sent, counters[name].bytes_sent)

    def _choose(self, names: frozenset[str]) -> None:
        """Pick the interfaces to publish among those that there are."""
        self._known = names
        physical = [name for name in names if (self._devices / name / "device").exists()]
        self._series = [
            (
                name,
                self._table.intern(catalog.NETWORK_RECEIVE, (name,)),
                self._table.intern(catalog.NETWORK_TRANSMIT, (name,)),
            )
            for name in sorted(physical or names - {"lo"})
        ]
