"""A Debian that boots in a container, so that the unit meets a real systemd."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

REPOSITORY = Path(__file__).parents[2]
CACHE = Path(os.environ.get("INFERWATCH_TEST_ROOT", "/var/cache/inferwatch-test-root"))
RELEASE = "bookworm"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "python3-venv", "curl", "make", "procps")


class ContainerError(Exception):
    """The container could not be made or does not answer."""


def missing() -> str:
    """Say why no container can be booted here; empty if one can."""
    if os.geteuid() != 0:
        return "booting a container needs root"
    needed = ["systemd-nspawn", "nsenter"]
    if not (CACHE / RELEASE).exists():
        needed.append("debootstrap")
    absent = [name for name in needed if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder against another test session."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def debian_root() -> Path:
    """Return a root file system to boot from; made once (about a minute), then never written."""
    root = CACHE / RELEASE
    with _locked(CACHE):
        if not root.exists():
            unfinished = CACHE / f"{RELEASE}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            _run(
                "debootstrap",
                "--variant=minbase",
                f"--include={','.join(PACKAGES)}",
                RELEASE,
                str(unfinished),
                timeout=600,
            )
            unfinished.rename(root)
    return root


def wheels() -> Path:
    """Return a folder with every wheel that an installation without network needs.

    The container's Python is 3.11, whatever runs the tests.
    """
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    wanted = sorted([*project["project"]["dependencies"], *project["build-system"]["requires"]])
    digest = hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:12]
    build = REPOSITORY / "build" / "systemd"
    folder = build / f"wheels-{digest}"
    with _locked(build):
        if not folder.exists():
            venv.create(build / "pip", with_pip=True)
            unfinished = build / "wheels.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            machine = os.uname().machine
            _run(
                str(build / "pip" / "bin" / "python"),
                *("-m", "pip", "download", "--quiet", "--dest", str(unfinished)),
                *("--only-binary=:all:", "--python-version=3.11", "--implementation=cp"),
                *(f"--platform=manylinux_2_{glibc}_{machine}" for glibc in (17, 28, 34)),
                f"--platform=manylinux2014_{machine}",
                *wanted,
                timeout=300,
            )
            unfinished.rename(folder)
    return folder


class Container:
    """A booted container; what is written in it is gone when it is left.

    Args:
        root: root file system to boot from, left unchanged.
        binds: host folder to container folder, read-only.
    """

    def __init__(self, root: Path, *, binds: dict[Path, str]) -> None:
        self._root = root
        self._binds = binds
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0

    def __enter__(self) -> Self:
        """Boot, and return when systemd is up."""
        self._nspawn = subprocess.Popen(
            [
                "systemd-nspawn",
                "--quiet",
                f"--directory={self._root}",
                "--boot",
                "--console=pipe",
                "--register=no",
                "--keep-unit",
                "--private-network",
                "--volatile=overlay",
                # Containers may not ask for the state of the clock; hosts may.
                "--system-call-filter=adjtimex clock_adjtime",
                *(f"--bind-ro={host}:{inside}" for host, inside in self._binds.items()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._await_boot(self._nspawn)
        except BaseException:
            self._end(self._nspawn)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Shut down; what was written is gone."""
        if self._nspawn is not None:
            self._end(self._nspawn)

    def sh(self, command: str, *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the container as root; the exit status is the caller's to judge.

        Standard error comes with standard output.
        """
        return subprocess.run(
            [
                *("nsenter", f"--target={self._init}"),
                *("--mount", "--uts", "--ipc", "--net", "--pid", "--"),
                *("env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
                *("HOME=/root", "LANG=C.UTF-8", "sh", "-c", command),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def out(self, command: str, *, timeout: float = 60) -> str:
        """Run a shell command that must succeed and return what it printed."""
        done = self.sh(command, timeout=timeout)
        if done.returncode != 0:
            raise ContainerError(f"{command!r} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout.strip()

    def until(self, command: str, *, seconds: float) -> str:
        """Repeat a shell command until it succeeds and return what it printed then."""
        deadline = time.monotonic() + seconds
        while (done := self.sh(command)).returncode != 0:
            if time.monotonic() > deadline:
                journal = self.sh("journalctl --no-pager --lines 30").stdout
                raise ContainerError(f"{command!r} not within {seconds} s:\n{done.stdout}{journal}")
            time.sleep(0.1)
        return done.stdout.strip()

    def _await_boot(self, nspawn: subprocess.Popen[bytes]) -> None:
        """Find the container's first process and wait until its systemd is up."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if nspawn.poll() is not None:
                raise ContainerError(f"systemd-nspawn ended with {nspawn.returncode}")
            self._init = _first_process(nspawn.pid)
            state = self.sh("systemctl is-system-running").stdout.strip() if self._init else ""
            if state in {"running", "degraded"}:
                return
            time.sleep(0.1)
        raise ContainerError("the container did not boot within 30 s")

    @staticmethod
    def _end(nspawn: subprocess.Popen[bytes]) -> None:
        """Shut the container down: in order, or else at once."""
        nspawn.send_signal(signal.SIGTERM)
        try:
            nspawn.wait(timeout=20)
        except subprocess.TimeoutExpired:
            nspawn.kill()
            nspawn.wait(timeout=20)


def _first_process(parent: int) -> int:
    """Return the pid, as seen from outside, of the container's process 1; 0 if not there yet."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split()
        for child in children:
            status = Path(f"/proc/{child}/status").read_text("utf-8").splitlines()
            pids = next(line for line in status if line.startswith("NSpid:")).split()[1:]
            if pids[1:] == ["1"]:
                return int(child)
    except OSError:
        pass
    return 0


def _run(*command: str, timeout: float) -> None:
    """Run a command of the preparation; what it printed is in the error."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env=_environment()
    )
    if done.returncode != 0:
        raise ContainerError(f"{command[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def _environment() -> dict[str, str]:
    """Return the environment without what would lead another Python astray."""
    return {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}


if __name__ == "__main__":
    sys.stdout.write(f"{debian_root()}\n{wheels()}\n")
