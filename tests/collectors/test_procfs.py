"""Files of the kernel: one kept open says the same as one opened anew, and no other is kept."""

import contextlib
import errno
import os
import resource
import subprocess
from pathlib import Path

import pytest

from collectors.procfs import KeptFile, read_file


def _descriptors() -> set[str]:
    """Return what this process has open."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself
            found.add(str(entry.readlink()))
    return found


def test_a_file_of_the_kernel_is_kept_and_read_anew():
    """What changes is seen through the same descriptor, which goes with the file."""
    file = KeptFile("/proc/self/comm")
    before = file.read()
    assert before == read_file("/proc/self/comm")
    assert f"/proc/{os.getpid()}/comm" in _descriptors()
    Path("/proc/self/comm").write_text("another")
    try:
        assert file.read() == b"another\n"
    finally:
        Path("/proc/self/comm").write_bytes((before or b"").strip())
    file.close()
    file.close()
    assert f"/proc/{os.getpid()}/comm" not in _descriptors()
    assert file.read() == before


def test_only_the_beginning():
    """No more than what is of interest is returned, however often it is read."""
    file = KeptFile("/proc/stat", most=4)
    assert [file.read() for _ in range(3)] == [b"cpu "] * 3


@pytest.mark.parametrize("most", [None, 3])
def test_any_other_file_is_opened_each_time(tmp_path: Path, most: int | None):
    """One that was replaced, removed or made is seen as it is."""
    path = tmp_path / "file"
    file = KeptFile(str(path), most=most)
    assert file.read() is None
    for text in (b"one", b"two"):
        new = tmp_path / "new"
        new.write_bytes(text)
        new.rename(path)
        assert file.read() == text
    assert str(path) not in _descriptors()
    path.unlink()
    assert file.read() is None


def test_a_process_that_ended():
    """Its kept file says that there is none, and raises nothing."""
    with subprocess.Popen(["sleep", "60"]) as process:
        file = KeptFile(f"/proc/{process.pid}/stat")
        assert (file.read() or b"").startswith(f"{process.pid} (".encode())
        process.kill()
    assert file.read() is None


@pytest.mark.parametrize("problem", [errno.ESRCH, errno.ENODEV])
def test_what_ends_between_open_and_read_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int
):
    """The kernel says so of a process that has ended, and of a control group that was removed."""
    path = tmp_path / "memory.current"
    path.write_text("1\n")
    assert read_file(path) == b"1\n"

    def gone(_fd: int, _most: int) -> bytes:
        raise OSError(problem, os.strerror(problem))

    monkeypatch.setattr(os, "read", gone)
    assert read_file(path) is None


def test_a_file_longer_than_one_read(tmp_path: Path):
    """All of it is returned, although it is no file to keep."""
    path = tmp_path / "long"
    path.write_bytes(bytes(200_000))
    file = KeptFile(str(path))
    assert len(file.read() or b"") == 200_000


def test_a_file_of_the_kernel_longer_than_a_page():
    """The kernel gives a page at a time of such a file, and ends it with a read of nothing."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"up\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"up\n"  # it waits from now on, and nothing changes
        path = f"/proc/{process.pid}/smaps"
        whole = Path(path).read_bytes()
        assert len(whole) > 2 * resource.getpagesize()
        file = KeptFile(path)
        assert read_file(path) == whole
        assert [file.read(), file.read()] == [whole] * 2
