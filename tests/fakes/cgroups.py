"""Written control groups of process 100, the server of an engine."""

from pathlib import Path

from agent.model import SeriesTable
from collectors.processes import EngineProcessRef, ProcessesCollector
from tests.fakes.clock import ManualClock
from tests.fakes.proc import FakeProc
from tests.fakes.samples import samples

ENGINE = '{engine="vllm",instance_name="chat"}'
"""The labels of its samples."""


class FakeGroups:
    """A procfs and a sysfs with the groups of the process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc = str(root / "proc")
        self.sys = str(root / "sys")

    def place(self, text: str) -> None:
        """Say in which groups the process is."""
        folder = self.root / "proc" / "100"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup").write_text(text)

    def write(self, group: str, **files: str) -> None:
        """Write files of a group, `__` in their names for a dot."""
        folder = self.root / "sys" / "fs" / "cgroup" / group.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)

    async def samples(self) -> dict[str, float]:
        """Return what is collected of the engine."""
        FakeProc(self.root / "proc").process(100, "vllm")
        table = SeriesTable()
        collector = ProcessesCollector(
            table,
            engine_processes=lambda: [
                EngineProcessRef(instance_name="chat", engine="vllm", pid=100)
            ],
            monotonic=ManualClock().monotonic,
            time=ManualClock().time,
            proc=self.root / "proc",
            sys=self.root / "sys",
        )
        return samples(table, await collector.collect())
