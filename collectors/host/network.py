"""Bytes through the network interfaces that are hardware.

Read directly: through psutil it costs twice as much, each second.
"""

from agent.catalog import host as catalog
from agent.model import SeriesTable
from collectors.procfs import HostPaths, KeptFile
from collectors.readings import ReadingBuilder


class Network:
    """Reads `/proc/net/dev` for physical interfaces.

    Bridges, bonds, VLANs and virtual Ethernet repeat what a physical interface counts already,
    and containers make them come and go. Where nothing is physical, as inside a container, all
    interfaces but the loopback are taken.
    """

    def __init__(self, table: SeriesTable, paths: HostPaths) -> None:
        self._table = table
        self._dev = KeptFile(f"{paths.proc}/net/dev")
        self._devices = paths.sys / "class/net"
        self._known: frozenset[str] = frozenset()
        self._series: list[tuple[str, int, int]] = []

    def read(self, into: ReadingBuilder) -> None:
        """Add bytes received and sent by interface."""
        # Two lines of headings, then `name: 8 numbers received 8 numbers sent`, bytes first.
        lines = (self._dev.read() or b"").decode().splitlines()[2:]
        # The name of an alias holds a colon itself.
        counters = {
            name.strip(): numbers for name, _, numbers in (x.rpartition(":") for x in lines)
        }
        if counters.keys() != self._known:
            self._choose(frozenset(counters))
        for name, received, sent in self._series:
            numbers = counters[name].split(None, 9)
            into.add(received, int(numbers[0]))
            into.add(sent, int(numbers[8]))

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
