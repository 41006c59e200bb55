"""MIG instances are devices of their own and never harm their GPU."""

import asyncio
from pathlib import Path

import pytest

from tests.fakes.nvml.controller import GIB, Process, StubDriver, mig_instance
from tests.fakes.nvml.watched import watched


def cut_up(folder: Path) -> StubDriver:
    """Return a driver with a whole GPU and one cut into two instances."""
    driver = StubDriver(folder, gpus=2)
    gpu = driver.gpu(1)
    gpu.mig_mode, gpu.mig_max = 1, 7
    gpu.migs = [
        mig_instance(1, 0, gpu_instance=1),
        mig_instance(1, 3, gpu_instance=9, compute_instance=1),
    ]
    driver.write()
    return driver


async def test_instances_have_what_they_support(tmp_path: Path) -> None:
    """An instance has memory, processes and GPM under its own uuid; the rest is absent."""
    driver = cut_up(tmp_path)
    driver.gpu(1).migs[1].processes = [Process(pid=1, memory=7)]
    driver.write()
    async with watched(driver) as watching:
        await watching.look()
        await asyncio.sleep(0.11)  # between GPM samples, in real time
        samples = await watching.look(1)
        uuids = {
            dict(series.label_pairs()).get("mig"): dict(series.label_pairs())["uuid"]
            for series, _ in watching.named("inferwatch_gpu_memory_used_bytes")
        }
    assert uuids["1/0"] == driver.gpu(1).migs[0].uuid
    assert uuids["9/1"] == driver.gpu(1).migs[1].uuid
    assert {key[0] for key in samples if "9/1" in key} == {
        "gpu_up",
        "gpu_info",
        "gpu_memory_used_bytes",
        "gpu_memory_free_bytes",
        "gpu_memory_reserved_bytes",
        "gpu_memory_total_bytes",
        "gpu_graphics_activity_ratio",
        "gpu_sm_activity_ratio",
        "gpu_sm_occupancy_ratio",
        "gpu_tensor_activity_ratio",
        "gpu_dram_activity_ratio",
        "gpu_process_memory_used_bytes",
    }
    assert samples["gpu_sm_activity_ratio", "1", "9/1"] == pytest.approx(0.11)
    assert samples["gpu_memory_total_bytes", "1", "9/1"] == 10 * GIB
    assert samples["gpus", ""] == 2


async def test_parent_goes_on_without_utilisation(tmp_path: Path) -> None:
    """A GPU that is cut up keeps power and temperature; utilisation is absent, not zero."""
    async with watched(cut_up(tmp_path)) as watching:
        samples = await watching.look()
        assert samples["gpu_power_watts", "1"] == 350
        assert samples["gpu_temperature_celsius", "1"] == 55
        assert ("gpu_utilization_ratio", "1") not in samples
        assert ("gpu_utilization_ratio", "0") in samples


async def test_instance_destroyed_and_made(tmp_path: Path) -> None:
    """An instance that goes leaves the page without a lost GPU; a new one appears."""
    driver = cut_up(tmp_path)
    async with watched(driver) as watching:
        await watching.look()
        driver.gpu(1).migs = [mig_instance(1, 5, gpu_instance=11)]
        driver.write()
        await watching.look(1)
        samples = await watching.look(1)
        assert {key[2] for key in samples if key[0] == "gpu_up" and len(key) > 2} == {"11/0"}
        assert samples["gpu_power_watts", "1"] == 350
        assert watching.kinds() == []


async def test_last_instance_destroyed(tmp_path: Path) -> None:
    """A GPU whose instances are all gone, and whose MIG mode is off, is whole again."""
    driver = cut_up(tmp_path)
    async with watched(driver) as watching:
        await watching.look()
        driver.gpu(1).migs, driver.gpu(1).mig_mode = [], 0
        driver.write()
        await watching.look(1)
        samples = await watching.look(1)
        assert not [key for key in samples if len(key) > 2 and "/" in key[2]]
        assert samples["gpu_utilization_ratio", "1"] == 0.5


async def test_lost_parent_takes_its_instances_along(tmp_path: Path) -> None:
    """When the GPU is lost its instances leave the page; only the GPU is reported, once."""
    driver = cut_up(tmp_path)
    async with watched(driver) as watching:
        await watching.look()
        driver.gpu(1).faults["*"] = 15
        driver.write()
        samples = await watching.look(1)
        assert [key for key in samples if key[1] == "1"] == [("gpu_up", "1")]
        assert samples["gpu_up", "1"] == 0
        assert watching.kinds() == ["gpu_lost"]


async def test_processes_of_instances_need_rights(tmp_path: Path) -> None:
    """Without the right to see an instance's processes the rest of it is still read."""
    driver = cut_up(tmp_path)
    driver.gpu(1).faults["nvmlDeviceGetComputeRunningProcesses_v3"] = 4
    driver.write()
    async with watched(driver) as watching:
        samples = await watching.look()
        assert samples["gpu_memory_used_bytes", "1", "1/0"] == 2 * GIB
        assert set(watching.kinds()) == {"gpu_read_refused"}


@pytest.mark.parametrize("code", [2, 3, 6])
async def test_gpm_that_fails_on_instances(tmp_path: Path, code: int) -> None:
    """GPM that an instance refuses costs that instance its GPM and nobody anything else."""
    driver = cut_up(tmp_path)
    driver.gpu(1).faults["nvmlGpmMigSampleGet"] = code
    driver.write()
    async with watched(driver) as watching:
        for _ in range(3):
            await watching.look(1)
            await asyncio.sleep(0.11)  # between GPM samples, in real time
        samples = await watching.look(1)
    assert ("gpu_sm_activity_ratio", "1", "1/0") not in samples
    assert ("gpu_memory_used_bytes", "1", "1/0") in samples
    assert ("gpu_sm_activity_ratio", "0") in samples


async def test_gpu_lost_while_instances_are_listed(tmp_path: Path) -> None:
    """A GPU that is lost between its own listing and that of its instances harms nobody."""
    driver = cut_up(tmp_path)
    driver.gpu(1).faults["nvmlDeviceGetMaxMigDeviceCount"] = 15
    driver.write()
    async with watched(driver) as watching:
        samples = await watching.look()
        assert samples["gpu_power_watts", "0"] == 350
        assert ("gpu_up", "1", "1/0") not in samples
