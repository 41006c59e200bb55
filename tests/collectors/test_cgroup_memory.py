"""Memory of the control group of a process, on a written cgroup filesystem."""

from pathlib import Path

import pytest

from collectors.cgroup import FOUND_INTERVAL
from collectors.cgroup_memory import CgroupMemory, MemoryUse
from tests.fakes.cgroups import ENGINE, FakeGroups

MIB = 2**20


class Groups(FakeGroups):
    """Those of which the memory is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reader = CgroupMemory(self.proc, self.sys)
        self.place("0::/system.slice/chat.service\n")

    def group(self, path: str, *, limit: str, used: int, stat: str = "") -> None:
        """Write what a group says."""
        self.write(path, memory__max=f"{limit}\n", memory__current=f"{used}\n")
        if stat:
            self.write(path, memory__stat=stat)


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    """Return a service without a limit in a slice without one."""
    made = Groups(tmp_path)
    made.group("/system.slice", limit="max", used=900 * MIB)
    made.group("/system.slice/chat.service", limit="max", used=500 * MIB)
    return made


def test_no_limit_is_nothing(groups: Groups) -> None:
    """Where neither the group nor one above it has a limit there is nothing to say."""
    assert groups.reader.read(100, 0.0) is None


def test_own_limit(groups: Groups) -> None:
    """Use, limit and what can be dropped are the group's; shared memory cannot be dropped."""
    stat = "anon 9\nfile 70\nshmem 40\ninactive_file 10\nactive_file 20\nslab_reclaimable 3\n"
    groups.group("/system.slice/chat.service", limit=str(600 * MIB), used=500 * MIB, stat=stat)
    assert groups.reader.read(100, 0.0) == MemoryUse(500 * MIB, 600 * MIB, 33)


def test_nearest_limit_counts(groups: Groups) -> None:
    """Of several groups with a limit the one with the least room ends the process."""
    groups.group("/system.slice/chat.service", limit=str(800 * MIB), used=500 * MIB)
    groups.group("/system.slice", limit=str(1000 * MIB), used=900 * MIB)
    assert groups.reader.read(100, 0.0) == MemoryUse(900 * MIB, 1000 * MIB, None)


def test_limit_set_later_is_found(groups: Groups) -> None:
    """Which groups have a limit is looked up again after a while; their use each time."""
    assert groups.reader.read(100, 0.0) is None
    groups.group("/system.slice/chat.service", limit=str(600 * MIB), used=510 * MIB)
    assert groups.reader.read(100, FOUND_INTERVAL / 2) is None
    assert groups.reader.read(100, FOUND_INTERVAL) == MemoryUse(510 * MIB, 600 * MIB, None)
    groups.group("/system.slice/chat.service", limit=str(600 * MIB), used=520 * MIB)
    found = groups.reader.read(100, FOUND_INTERVAL + 1)
    assert found is not None
    assert found.used == 520 * MIB


def test_what_is_not_there(groups: Groups) -> None:
    """A process that ended, the first version of control groups, and a hidden group say nothing."""
    assert groups.reader.read(999, 0.0) is None
    (groups.root / "proc" / "100" / "cgroup").write_text("4:memory:/docker/abc\n")
    assert groups.reader.read(100, 0.0) is None
    groups.reader.keep(set())
    groups.place("0::/elsewhere.slice/gone.service\n")
    assert groups.reader.read(100, 1.0) is None


async def test_an_engine_has_the_samples(groups: Groups) -> None:
    """The limit of an engine's server is among the samples of its processes."""
    stat = "inactive_file 10\n"
    groups.group("/system.slice/chat.service", limit=str(600 * MIB), used=500 * MIB, stat=stat)
    found = await groups.samples()
    assert found[f"engine_cgroup_memory_used_bytes{ENGINE}"] == 500 * MIB
    assert found[f"engine_cgroup_memory_limit_bytes{ENGINE}"] == 600 * MIB
    assert found[f"engine_cgroup_memory_reclaimable_bytes{ENGINE}"] == 10
