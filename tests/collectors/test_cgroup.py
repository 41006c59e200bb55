"""Control groups: which one a process is in, and what else runs in its container."""

from pathlib import Path

import pytest

from collectors.cgroup import Cgroup, cgroup_of, container_members, members
from tests.fakes.proc import FakeProc

ID = "0123456789abcdef" * 4


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    """Return an empty procfs."""
    (tmp_path / "proc").mkdir()
    return FakeProc(tmp_path / "proc")


def _group(tmp_path: Path, path: str, *pids: int, folder: str = "") -> None:
    """Write a control group with these processes."""
    place = tmp_path / "sys" / "fs" / "cgroup" / folder / path.lstrip("/")
    place.mkdir(parents=True)
    (place / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))


@pytest.mark.parametrize(
    "path",
    [
        f"/system.slice/docker-{ID}.scope",
        f"/docker/{ID}",
        f"/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope",
        f"/kubepods/besteffort/pod1/{ID}",
        f"/machine.slice/libpod-{ID}.scope/container",
        f"/kubepods.slice/crio-{ID}.scope",
        "/lxc.payload.serving/system.slice/vllm.service",
        "/lxc/serving",
    ],
)
def test_container(path: str):
    """The groups of the usual runtimes are known as containers."""
    assert Cgroup(path, "").is_container


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/system.slice/vllm.service",
        "/user.slice/user-1000.slice/session-3.scope",
        "/system.slice/docker.service",
        f"/user.slice/{ID}x",
    ],
)
def test_no_container(path: str):
    """Services and sessions hold what has nothing to do with an engine: they are none."""
    assert not Cgroup(path, "").is_container


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0::/system.slice/a.service\n", Cgroup("/system.slice/a.service", "")),
        ("0::/\n", None),
        ("4:cpu,memory:/docker/a\n1:name=systemd:/x\n0::/\n", Cgroup("/docker/a", "memory")),
        ("4:memory:/old\n0::/new:with:colons\n", Cgroup("/new:with:colons", "")),
        ("nonsense\n", None),
        ("", None),
    ],
)
def test_group_of_a_process(proc: FakeProc, text: str, expected: Cgroup | None):
    """Version 2 counts where a process is in a group of it, else version 1."""
    proc.process(7, "a", cgroup=text)
    assert cgroup_of(str(proc.root), 7) == expected


def test_group_that_is_not_shown(proc: FakeProc):
    """A process that ended is in no group, and a group that is hidden has no members."""
    assert cgroup_of(str(proc.root), 8) is None
    assert members(str(proc.root), Cgroup("/docker/a", "")) == set()


def test_members_of_a_container(proc: FakeProc, tmp_path: Path):
    """All that runs in the container of an engine is found; foreign namespaces read as 0."""
    path = f"/docker/{ID}"
    _group(tmp_path, path, 0, 5, 7, 9)
    proc.process(7, "vllm", cgroup=f"0::{path}\n")
    found = container_members(str(proc.root), str(tmp_path / "sys"), [7])
    assert found == {7: {5, 7, 9}}


def test_members_in_version_one(proc: FakeProc, tmp_path: Path):
    """In version 1 they are listed below the controller."""
    _group(tmp_path, f"/docker/{ID}", 7, 9, folder="memory")
    proc.process(7, "vllm", cgroup=f"3:memory:/docker/{ID}\n")
    assert container_members(str(proc.root), str(tmp_path / "sys"), [7]) == {7: {7, 9}}


def test_container_of_two_engines(proc: FakeProc, tmp_path: Path):
    """Where two engines share a container, nothing in it is said to be of either."""
    path = f"/docker/{ID}"
    _group(tmp_path, path, 5, 7, 8)
    for pid in (7, 8):
        proc.process(pid, "vllm", cgroup=f"0::{path}\n")
    assert container_members(str(proc.root), str(tmp_path / "sys"), [7, 8]) == {}


def test_engine_in_a_service(proc: FakeProc, tmp_path: Path):
    """A service is no container: cron may have started the engine."""
    _group(tmp_path, "/system.slice/cron.service", 5, 7)
    proc.process(7, "vllm", cgroup="0::/system.slice/cron.service\n")
    assert container_members(str(proc.root), str(tmp_path / "sys"), [7]) == {}
