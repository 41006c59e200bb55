"""Each return code of the driver has the outcome that docs/sources/nvml.md states."""

import asyncio
from pathlib import Path

import pytest

from agent.model import SourceError
from tests.collectors.nvml.readings import POWER, WATTS
from tests.fakes.nvml.controller import RECOVERY_ACTION, StubDriver, h100
from tests.fakes.nvml.watched import watched


@pytest.mark.parametrize("code", [3, 13, 25, 26])
async def test_unsupported_is_not_asked_again(tmp_path: Path, code: int) -> None:
    """A call that the device does not have is not repeated until devices are listed anew."""
    driver = StubDriver(tmp_path)
    driver.gpu(0).faults[POWER] = code
    driver.write()
    async with watched(driver) as watching:
        assert WATTS not in await watching.look()
        driver.gpu(0).faults.clear()
        driver.write()
        assert WATTS not in await watching.look(1)
        driver.gpus.append(h100(1))
        driver.write()
        assert (await watching.look(1))[WATTS] == 350


@pytest.mark.parametrize("code", [6, 7, 10, 14, 19, 20, 21, 27])
async def test_passing_errors_cost_one_value(tmp_path: Path, code: int) -> None:
    """NO_DATA and its like leave the value out this time and nothing else."""
    driver = StubDriver(tmp_path)
    async with watched(driver) as watching:
        before = await watching.look()
        driver.gpu(0).faults[POWER] = code
        driver.write()
        assert set(before) - set(await watching.look(1)) == {WATTS}
        driver.gpu(0).faults.clear()
        driver.write()
        assert WATTS in await watching.look(1)
        assert watching.events == []


@pytest.mark.parametrize("code", [4, 17])
async def test_missing_rights_are_said_once(tmp_path: Path, code: int) -> None:
    """A call that needs rights leaves its value out, in one event; the others go on."""
    driver = StubDriver(tmp_path)
    driver.gpu(0).faults["nvmlDeviceGetComputeRunningProcesses_v3"] = code
    driver.write()
    async with watched(driver) as watching:
        await watching.look()
        samples = await watching.look(11)
        assert WATTS in samples
        assert watching.kinds() == ["gpu_read_refused"]
        assert watching.events[0].labels["code"] == str(code)
        assert "process_memory_used_bytes" in watching.events[0].message


async def test_missing_rights_are_not_said_again_by_the_next_child(tmp_path: Path) -> None:
    """A fresh child meets the same refusal; people are told of it once."""
    driver = StubDriver(tmp_path)
    driver.gpu(0).faults[POWER] = 4
    driver.write()
    async with watched(driver) as watching:
        await watching.look()
        watching.supervisor.replace()
        assert WATTS not in await watching.look(1)
        assert watching.kinds() == ["gpu_read_refused"]


async def test_gpm_sample_that_fails_once(tmp_path: Path) -> None:
    """GPM goes on after a sample that could not be taken."""
    driver = StubDriver(tmp_path)
    active = ("gpu_sm_activity_ratio", "0")
    async with watched(driver) as watching:
        await watching.look()
        driver.gpu(0).faults["nvmlGpmSampleGet"] = 21
        driver.write()
        await asyncio.sleep(0.11)  # between GPM samples, in real time
        assert active not in await watching.look(1)
        driver.gpu(0).faults.clear()
        driver.write()
        assert active in await watching.look(1)


async def test_gpu_that_may_not_be_opened(tmp_path: Path) -> None:
    """A GPU outside the agent's cgroup is left out, with one event; the others are read."""
    driver = StubDriver(tmp_path, gpus=2)
    driver.gpu(1).faults["nvmlDeviceGetHandleByIndex_v2"] = 17
    driver.write()
    async with watched(driver) as watching:
        samples = await watching.look()
        await watching.look(6)
        assert watching.kinds() == ["gpu_read_refused"]
    assert samples["gpus", ""] == 1
    assert ("gpu_up", "1") not in samples


@pytest.mark.parametrize(
    ("code", "kind"), [(15, "gpu_lost"), (16, "gpu_reset_required"), (28, "gpu_lost")]
)
async def test_gpu_down_and_back(tmp_path: Path, code: int, kind: str) -> None:
    """A lost GPU is up 0 and nothing else, with one event; others go on; it may come back."""
    driver = StubDriver(tmp_path, gpus=2)
    async with watched(driver) as watching:
        await watching.look()
        driver.gpu(1).faults["*"] = code
        driver.write()
        samples = await watching.look(1)
        assert watching.names("1") == {"gpu_up"}
        assert samples["gpu_up", "1"] == 0
        assert samples["gpus", ""] == 1
        assert samples[WATTS] == 350
        await watching.look(6)
        await watching.look(6)
        assert watching.kinds() == [kind]
        assert watching.events[0].labels == {
            "gpu": "1",
            "uuid": driver.gpu(1).uuid,
            "pci_bus_id": "0000:3c:00",
        }
        driver.gpu(1).faults.clear()
        driver.write()
        samples = await watching.look(6)
        assert samples["gpu_up", "1"] == 1
        assert samples["gpu_power_watts", "1"] == 350
        assert watching.kinds() == [kind, "gpu_returned"]


async def test_a_lost_gpu_does_not_disturb_the_gpm_of_others(tmp_path: Path) -> None:
    """While one GPU is lost, devices are not listed anew, which would interrupt GPM."""
    driver = StubDriver(tmp_path, gpus=2)
    async with watched(driver) as watching:
        await watching.look()
        driver.gpu(1).faults["*"] = 15
        driver.write()
        await asyncio.sleep(0.11)  # between GPM samples, in real time
        await watching.look(1)
        for _ in range(3):
            assert ("gpu_sm_activity_ratio", "0") in await watching.look(6)


async def test_unknown_error_of_one_call(tmp_path: Path) -> None:
    """An unknown error (999) has a fresh process tried; if it stays, only that value is lost."""
    driver = StubDriver(tmp_path, gpus=2)
    async with watched(driver) as watching:
        await watching.look()
        driver.gpu(0).faults[POWER] = 999
        driver.write()
        with pytest.raises(SourceError, match="999"):
            await watching.look(1)
        samples = await watching.look(2)
        assert WATTS not in samples
        assert samples["gpu_memory_used_bytes", "0"] > 0
        assert samples["gpu_power_watts", "1"] == 350
        assert WATTS not in await watching.look(1)


async def test_xid(tmp_path: Path) -> None:
    """An XID becomes one event with its code and the GPU's identity, and is not repeated."""
    driver = StubDriver(tmp_path, gpus=2)
    async with watched(driver) as watching:
        await watching.look()
        await watching.listening()
        driver.push_xid(1, 79)
        event = await watching.event("xid")
        assert event.source == "nvml"
        assert event.labels == {
            "gpu": "1",
            "uuid": driver.gpu(1).uuid,
            "pci_bus_id": "0000:3c:00",
            "code": "79",
        }
        driver.push_xid(1, 79)
        for _ in range(100):
            await watching.look()
            if len(watching.events) > 1:
                break
            await asyncio.sleep(0.02)
        assert watching.kinds() == ["xid", "xid"]


async def test_recovery_action_lists_devices_anew(tmp_path: Path) -> None:
    """A driver that asks for recovery is said so, and devices are listed anew at once."""
    driver = StubDriver(tmp_path)
    async with watched(driver) as watching:
        await watching.look()
        await watching.listening()
        driver.gpu(0).name = "NVIDIA H100 renamed"
        driver.push_event(0, kind=RECOVERY_ACTION, data=1)
        event = await watching.event("gpu_recovery_action")
        assert event.message == "GPU 0 (0000:3b:00) asks for recovery action 1"
        samples = await watching.look()
        assert any("NVIDIA H100 renamed" in key for key in samples)
