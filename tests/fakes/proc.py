"""A procfs of processes, written into a folder."""

import shutil
from pathlib import Path

from collectors.procfs import PAGE_SIZE, TICKS


class FakeProc:
    """Writes a process's `stat`, `schedstat`, `fd`, `cmdline` and `cgroup` as the kernel does."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def process(
        self,
        pid: int,
        comm: str,
        *,
        ppid: int = 1,
        cpu_seconds: float = 0.0,
        resident_bytes: int = 0,
        threads: int = 1,
        start: int = 100,
        fds: int | None = None,
        title: str | None = None,
        cgroup: str | None = None,
        waited: float | None = None,
    ) -> None:
        """Write a process, or write it anew with other numbers."""
        folder = self.root / str(pid)
        folder.mkdir(exist_ok=True)
        ticks = round(cpu_seconds * TICKS)
        user, system = ticks - ticks // 4, ticks // 4
        before = f"S {ppid} {pid} {pid} 0 -1 4194304 900 0 3 0 {user} {system} 0 0 20 0"
        after = f"{threads} 0 {start} 9000000 {resident_bytes // PAGE_SIZE} 18446744073709551615"
        (folder / "stat").write_text(f"{pid} ({comm}) {before} {after} 1 1 0 0 0 0 0\n")
        if waited is not None:
            text = f"{round(cpu_seconds * 1e9)} {round(waited * 1e9)} 700\n"
            (folder / "schedstat").write_text(text)
        if fds is not None:
            shutil.rmtree(folder / "fd", ignore_errors=True)
            (folder / "fd").mkdir()
            for fd in range(fds):
                (folder / "fd" / str(fd)).touch()

        if title is not None:
            (folder / "cmdline").write_text(title)
        if cgroup is not None:
            (folder / "cgroup").write_text(cgroup)

    def end(self, pid: int) -> None:
        """Remove a process."""
        shutil.rmtree(self.root / str(pid))
