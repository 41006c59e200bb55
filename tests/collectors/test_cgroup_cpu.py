"""CPU quotas of the control groups of a process, on written cgroup filesystems of both versions."""

from pathlib import Path

import pytest

from collectors.cgroup import FOUND_INTERVAL
from collectors.cgroup_cpu import CgroupCpu, CpuQuota
from tests.fakes.cgroups import ENGINE, FakeGroups

OWN = "/kubepods.slice/pod1.slice/chat.scope"


class Groups(FakeGroups):
    """Those of which the CPU quota is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reader = CgroupCpu(self.proc, self.sys)
        self.place(f"0::{OWN}\n")


def stat(periods: int, throttled: int, microseconds: int) -> str:
    """Return a `cpu.stat` of version 2."""
    return (
        f"usage_usec 9\nnr_periods {periods}\nnr_throttled {throttled}\n"
        f"throttled_usec {microseconds}\nnr_bursts 0\n"
    )


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    """Return a container without a quota in a pod without one."""
    made = Groups(tmp_path)
    made.write(OWN, cpu__max="max 100000\n", cpu__stat="usage_usec 9\n")
    made.write("/kubepods.slice/pod1.slice", cpu__max="max 100000\n")
    return made


def test_no_quota_is_nothing(groups: Groups) -> None:
    """Where neither the group nor one above it has a quota there is nothing to say."""
    assert groups.reader.read(100, 0.0) is None


def test_own_quota(groups: Groups) -> None:
    """Cores are quota by period, times are seconds."""
    groups.write(OWN, cpu__max="250000 100000\n", cpu__stat=stat(50, 20, 1_500_000))
    assert groups.reader.read(100, 0.0) == CpuQuota(2.5, 50, 20, 1.5)
    groups.write(OWN, cpu__stat=stat(60, 29, 2_500_000))
    assert groups.reader.read(100, 1.0) == CpuQuota(2.5, 60, 29, 2.5)


def test_the_smallest_quota_counts(groups: Groups) -> None:
    """A pod's quota that is smaller than its container's is what is used up."""
    groups.write(OWN, cpu__max="400000 100000\n", cpu__stat=stat(9, 0, 0))
    pod = "/kubepods.slice/pod1.slice"
    groups.write(pod, cpu__max="200000 100000\n", cpu__stat=stat(8, 7, 1_000_000))
    assert groups.reader.read(100, 0.0) == CpuQuota(2.0, 8, 7, 1.0)


def test_the_first_version(groups: Groups) -> None:
    """There the quota has files of its own, none is -1, and times are nanoseconds."""
    groups.place("4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n")
    group = "cpu/docker/abc"
    text = "nr_periods 70\nnr_throttled 60\nthrottled_time 5500000000\n"
    groups.write(group, cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n", cpu__stat=text)
    assert groups.reader.read(100, 0.0) is None
    groups.write(group, cpu__cfs_quota_us="10000\n")
    assert groups.reader.read(100, FOUND_INTERVAL) == CpuQuota(0.1, 70, 60, 5.5)


def test_quota_set_and_lifted_later(groups: Groups) -> None:
    """Which group has a quota is looked up again after a while."""
    assert groups.reader.read(100, 0.0) is None
    groups.write(OWN, cpu__max="100000 100000\n", cpu__stat=stat(1, 0, 0))
    assert groups.reader.read(100, FOUND_INTERVAL / 2) is None
    assert groups.reader.read(100, FOUND_INTERVAL) == CpuQuota(1.0, 1, 0, 0.0)
    groups.write(OWN, cpu__max="max 100000\n")
    assert groups.reader.read(100, 2 * FOUND_INTERVAL) is None


@pytest.mark.parametrize("text", ["", "nr_periods x\nnr_throttled 1\n", "nr_periods 5\n"])
def test_what_says_nothing(groups: Groups, text: str) -> None:
    """A process that ended, and a group whose numbers cannot be read, have no quota to tell of."""
    groups.write(OWN, cpu__max="100000 100000\n", cpu__stat=text)
    assert groups.reader.read(100, 0.0) is None
    assert groups.reader.read(999, 0.0) is None
    groups.reader.keep({999})
    (groups.root / "proc" / "100" / "cgroup").write_text("0::/\n")
    assert groups.reader.read(100, 1.0) is None


async def test_an_engine_has_the_samples(groups: Groups) -> None:
    """The quota of an engine's server is among the samples of its processes."""
    groups.write(OWN, cpu__max="150000 100000\n", cpu__stat=stat(50, 20, 1_500_000))
    found = await groups.samples()
    assert found[f"engine_cgroup_cpu_limit_cores{ENGINE}"] == 1.5
    assert found[f"engine_cgroup_cpu_periods_total{ENGINE}"] == 50
    assert found[f"engine_cgroup_cpu_throttled_periods_total{ENGINE}"] == 20
    assert found[f"engine_cgroup_cpu_throttled_seconds_total{ENGINE}"] == 1.5
