"""Which control group a process is in, and what else is in it (cgroups(7))."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Generic, TypeVar

from collectors.procfs import read_file

FOUND_INTERVAL: Final = 10.0
"""Seconds for which it is remembered what was looked up of a process."""

_T = TypeVar("_T")

# As Docker, containerd, CRI-O, Podman and Kubernetes name the group of one container, with the
# systemd and with the cgroupfs driver.
_CONTAINER: Final = re.compile(
    r"/(?:(?:docker|cri-containerd|containerd|crio|libpod)-)?[0-9a-f]{64}(?:\.scope)?(?:/|$)"
    r"|/(?:lxc|lxc\.payload)[./][^/]+"
)
# Where a controller of version 1 shows the group, of those that every container has.
_FIRST_VERSION: Final = ("memory", "pids", "cpuset")


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A control group.

    Attributes:
        path: below the root of its hierarchy, such as `/system.slice/docker-….scope`.
        folder: below the mount point of the hierarchies; `""` or the controller of version 1.
    """

    path: str
    folder: str

    @property
    def is_container(self) -> bool:
        """Return whether it is that of one container, or below it."""
        return _CONTAINER.search(self.path) is not None


def cgroup_of(proc: str, pid: int) -> Cgroup | None:
    """Return the control group of a process, or None where that is not shown.

    Of a host with both versions, that of version 2 counts unless it is the root.
    """
    found = _paths(proc, pid)
    for controller in ("", *_FIRST_VERSION):
        path = found.get(controller, "")
        if path.startswith("/") and path != "/":
            return Cgroup(path, controller)
    return None


def group_of(proc: str, pid: int, controller: str) -> Cgroup | None:
    """Return the group in which a controller holds a process, or None where that is not shown.

    A controller is in one hierarchy: of version 1 where that has it, else of version 2. The root
    has no limits.
    """
    found = _paths(proc, pid)
    folder = controller if controller in found else ""
    path = found.get(folder, "")
    return Cgroup(path, folder) if path.startswith("/") and path != "/" else None


def folders_above(root: str, cgroup: Cgroup) -> Iterator[str]:
    """Yield the folder of a group and those of the groups that it is in, without the root.

    Args:
        root: mount point of the hierarchies.
        cgroup: the group.
    """
    path = PurePosixPath(cgroup.path)
    hierarchy = f"{root}/{cgroup.folder}" if cgroup.folder else root
    for group in (path, *path.parents[:-1]):
        yield f"{hierarchy}{group}"


class Lookups(Generic[_T]):
    """What was looked up of each process; looked up anew now and then."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[float, _T]] = {}

    def of(self, pid: int, now: float, look: Callable[[_T | None], _T]) -> _T:
        """Return what is known of a process.

        Args:
            pid: of the process.
            now: seconds on a clock that never goes back.
            look: given what was found before, if anything was.
        """
        known = self._found.get(pid)
        if known is not None and now - known[0] < FOUND_INTERVAL:
            return known[1]
        found = look(None if known is None else known[1])
        self._found[pid] = now, found
        return found

    def keep(self, pids: Collection[int]) -> None:
        """Forget all other processes."""
        self._found = {pid: found for pid, found in self._found.items() if pid in pids}


def _paths(proc: str, pid: int) -> dict[str, str]:
    """Return where a process is in each hierarchy, by controller; version 2 has no name."""
    found: dict[str, str] = {}
    for line in (read_file(f"{proc}/{pid}/cgroup") or b"").decode("utf-8", "replace").splitlines():
        _number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            found[controller] = path
    return found


def members(sys: str, cgroup: Cgroup) -> set[int]:
    """Return the processes of a control group, those of groups below it left out.

    Processes that the reader's own PID namespace does not have are left out too.
    """
    folder = f"/{cgroup.folder}" if cgroup.folder else ""
    text = read_file(f"{sys}/fs/cgroup{folder}{cgroup.path}/cgroup.procs") or b""
    return {int(word) for word in text.split() if word.isdigit()} - {0}


def container_members(proc: str, sys: str, roots: Iterable[int]) -> dict[int, Collection[int]]:
    """Return for each of these processes what else is in the same container.

    A container with two of them is left out: nobody could say which one the rest belongs to.
    """
    groups: dict[Cgroup, list[int]] = {}
    for root in roots:
        cgroup = cgroup_of(proc, root)
        if cgroup is not None and cgroup.is_container:
            groups.setdefault(cgroup, []).append(root)
    return {found[0]: members(sys, cgroup) for cgroup, found in groups.items() if len(found) == 1}
