"""Pressure stall information: how long tasks waited for CPU, memory and I/O."""

import re

from agent.catalog import host as catalog
from agent.model import SeriesTable
from collectors.procfs import HostPaths, KeptFile
from collectors.readings import ReadingBuilder

_TOTAL = re.compile(rb"^(some|full) .*\btotal=(\d+)$", re.MULTILINE)
_MICROSECONDS = 1e6


class Pressure:
    """Reads `/proc/pressure`; absent in kernels built or started without it.

    `full` of the CPU is left out: for the whole host it is zero by definition.
    """

    def __init__(self, table: SeriesTable, paths: HostPaths) -> None:
        self._files = [
            (
                KeptFile(f"{paths.proc}/pressure/{resource}"),
                {
                    kind.encode(): table.intern(catalog.PRESSURE_SECONDS, (resource, kind))
                    for kind in kinds
                },
            )
            for resource, kinds in (
                ("cpu", ("some",)),
                ("memory", ("some", "full")),
                ("io", ("some", "full")),
            )
        ]

    def read(self, into: ReadingBuilder) -> None:
        """Add the totals since boot."""
        for file, series in self._files:
            text = file.read()
            if text is None:
                continue
            for kind, total in _TOTAL.findall(text):
                if kind in series:
                    into.add(series[kind], int(total) / _MICROSECONDS)
