"""Who runs where, from the driver library's stand-in and the real processes of this machine."""

import asyncio
import os
import subprocess
from pathlib import Path

from agent.analysis.placement import Placer
from agent.model import Frame
from collectors.process_tree import SCAN_INTERVAL
from collectors.processes import SETTLED, EngineProcessRef, ProcessesCollector
from tests.fakes.nvml.controller import GIB, Process, StubDriver, mig_instance
from tests.fakes.nvml.watched import watched


async def test_children_of_a_server(tmp_path: Path) -> None:
    """A server whose two children use a GPU and a MIG instance is placed on both, nobody else."""
    shell = await asyncio.create_subprocess_exec(
        "sh", "-c", "sleep 60 & echo $!; sleep 60 & echo $!; wait",
        stdout=subprocess.PIPE, process_group=0,
    )  # fmt: skip
    try:
        assert shell.stdout is not None
        first, second = [int(await shell.stdout.readline()) for _ in range(2)]
        driver = StubDriver(tmp_path, gpus=2)
        driver.gpu(0).processes = [
            Process(pid=first, memory=GIB),
            Process(pid=os.getpid(), memory=GIB),
        ]
        driver.gpu(1).mig_mode, driver.gpu(1).mig_max = 1, 7
        driver.gpu(1).migs = [
            mig_instance(1, 0, gpu_instance=1),
            mig_instance(1, 3, gpu_instance=2),
        ]
        driver.gpu(1).migs[1].processes = [Process(pid=second, memory=GIB)]
        driver.write()
        async with watched(driver) as watching:
            await watching.look()
            ref = EngineProcessRef(instance_name="chat", engine="vllm", pid=shell.pid)
            processes = ProcessesCollector(
                watching.table,
                engine_processes=lambda: [ref],
                monotonic=watching.clock.monotonic,
                time=watching.clock.time,
            )
            await processes.collect()
            watching.clock.advance(max(SETTLED, SCAN_INTERVAL))
            reading = await processes.collect()
            ids = [*watching.ids, *reading.ids]
            placement = Placer().observe(Frame(1.0, watching.table, ids, [1.0] * len(ids)))
    finally:
        os.killpg(shell.pid, 9)
        await shell.communicate()
    assert [(key.gpu, key.mig) for key in placement.gpus_of("vllm", "chat")] == [
        ("0", ""),
        ("1", "2/0"),
    ]
    assert [tie.pids for tie in placement.ties] == [{str(first)}, {str(second)}]
