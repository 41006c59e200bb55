"""Lets two stub GPUs look like those of a serving host, by the load of the engine beside them.

Where no real GPU is at hand, this is how the GPU half of the demo recording is made:

    python -m tests.recordings.stub_gpus --engine http://127.0.0.1:8000 --pid PID -- COMMAND …

runs COMMAND (such as `inferwatch record …`) with the stub as its driver. The engine's pages are
real; of the GPUs nothing is measured, and the recording says so. The process that is named is shown
on the first GPU, with as much device memory as it has main memory.
"""

import argparse
import contextlib
import random
import re
import resource
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.fakes.nvml.controller import Process, StubDriver, h100

GIB = 2**30
PERIOD = 0.5


def running(engine: str) -> float:
    """Return how many requests the engine executes, 0 where it does not answer."""
    with contextlib.suppress(OSError):
        with urllib.request.urlopen(engine + "/metrics", timeout=2) as answer:
            page = answer.read()
        found = re.search(rb"^vllm:num_requests_running\{[^}]*\} (\S+)", page, re.MULTILINE)
        return float(found[1]) if found else 0.0
    return 0.0


def resident(pid: int) -> int:
    """Return the bytes of main memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def set_load(driver: StubDriver, share: float, dice: random.Random) -> None:
    """Set what the GPU of the engine shows at a share of its largest batch, 0 to 1."""
    busy, idle = driver.gpu(0), driver.gpu(1)
    busy.utilization_gpu = round(100 * min(1.0, 1.6 * share)) if share else 0
    busy.utilization_memory = round(70 * share)
    watts = 95 + 520 * min(1.0, 1.3 * share) + dice.uniform(-8, 8)
    busy.power_usage = round(1000 * watts)
    busy.temperature = round(34 + 36 * share)
    busy.clock_sm = 1980 if watts < 560 else 1755
    busy.clocks_event_reasons = 0 if watts < 560 else 0x4
    busy.gpm.update({1: 95 * share, 2: 70 * share, 3: 32 * share, 5: 24 * share, 10: 82 * share})
    idle.utilization_gpu = idle.utilization_memory = 0
    idle.power_usage = round(1000 * (72 + dice.uniform(-2, 2)))
    idle.temperature = 31
    idle.gpm.update(dict.fromkeys((1, 2, 3, 5, 10), 0.0))
    for gpu in (busy, idle):
        gpu.energy = (gpu.energy or 0) + round((gpu.power_usage or 0) * PERIOD)
        gpu.fields[83] = gpu.energy
    busy.fields[197] += round(40_000 * share)
    busy.fields[198] += round(90_000 * share)
    driver.write()


def main() -> int:
    """Run the command with the stub until it ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--pid", type=int, required=True, help="the engine's, shown on GPU 0")
    parser.add_argument("--batch", type=float, default=16, help="the engine's largest batch")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    dice = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        driver = StubDriver(Path(folder))
        driver.gpus = [h100(0), h100(1)]
        busy, idle = driver.gpu(0), driver.gpu(1)
        held = resident(given.pid)
        busy.memory_used, busy.memory_free = held, 79 * GIB - held
        busy.processes = [Process(pid=given.pid, memory=held)]
        idle.memory_used, idle.memory_free = GIB // 2, 78 * GIB + GIB // 2
        idle.processes = []
        set_load(driver, 0.0, dice)
        child = subprocess.Popen(given.command, env=driver.env())
        while child.poll() is None:
            set_load(driver, min(1.0, running(given.engine) / given.batch), dice)
            time.sleep(PERIOD)
        return child.returncode


if __name__ == "__main__":
    raise SystemExit(main())
