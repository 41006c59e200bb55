"""Waits for a CPU, on a written procfs and on this process."""

import os
from pathlib import Path

import pytest

from collectors.cpu_waits import CpuWaits
from collectors.procfs import process_stat
from tests.fakes.proc import FakeProc


class Waiting:
    """Two processes whose waits are looked at together."""

    def __init__(self, root: Path) -> None:
        self.proc = FakeProc(root)
        self.waits = CpuWaits(str(root))

    def look(self, start: int = 100, **waited: float) -> float | None:
        """Return the longest wait of processes 1 and 2 once they have waited so long in all."""
        stats = []
        for number, seconds in enumerate(waited.values(), start=1):
            self.proc.process(number, "python", start=start, cpu_seconds=1.0, waited=seconds)
            stat = process_stat(str(self.proc.root), number)
            assert stat is not None
            stats.append(stat)
        longest = self.waits.longest(stats)
        self.waits.turn()
        return longest


def test_the_longest_of_one_look_counts(tmp_path: Path) -> None:
    """Nothing is known at the first look; then it is the growth of the one that grew most."""
    waiting = Waiting(tmp_path)
    assert waiting.look(first=10.0, second=20.0) is None
    assert waiting.look(first=10.2, second=20.7) == pytest.approx(0.7)
    assert waiting.look(first=10.9, second=20.7) == pytest.approx(0.7)
    assert waiting.look(first=10.9, second=20.7) == 0.0


def test_a_number_that_was_given_again_is_another_process(tmp_path: Path) -> None:
    """What it waited before it was first seen is not counted, whatever had its number before."""
    waiting = Waiting(tmp_path)
    waiting.look(first=10.0)
    assert waiting.look(start=200, first=50.0) is None
    assert waiting.look(start=200, first=50.1) == pytest.approx(0.1)


@pytest.mark.parametrize("text", ["", "0 0 0\n", "none\n", "5 1\n"])
def test_a_kernel_that_does_not_count(tmp_path: Path, text: str) -> None:
    """Kernels built without the count write zeros or have no such file: nothing is known."""
    waiting = Waiting(tmp_path)
    waiting.proc.process(1, "python")
    if text:
        (tmp_path / "1" / "schedstat").write_text(text)
    stat = process_stat(str(tmp_path), 1)
    assert stat is not None
    for _look in range(2):
        assert waiting.waits.longest([stat]) is None
        waiting.waits.turn()


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="a kernel without schedstat")
def test_this_process() -> None:
    """The kernel of this machine is understood: a wait is known at the second look."""
    waits = CpuWaits("/proc")
    stat = process_stat("/proc", os.getpid())
    assert stat is not None
    assert waits.longest([stat]) is None
    waits.turn()
    longest = waits.longest([stat])
    assert longest is not None
    assert longest >= 0.0
