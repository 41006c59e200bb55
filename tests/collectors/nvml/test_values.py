"""What the collector makes of what the driver says: names, units, absence, tiers."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from collectors.nvml.probes import REASONS
from tests.fakes.nvml.controller import GIB, Process, StubDriver
from tests.fakes.nvml.watched import watched

COMM = Path("/proc/self/comm").read_text().strip()


async def test_a_whole_gpu_in_base_units(tmp_path: Path) -> None:
    """Every value of a GPU that supports everything arrives, in base units, under its name."""
    driver = StubDriver(tmp_path)
    gpu = driver.gpu(0)
    gpu.processes = [Process(pid=os.getpid(), memory=3 * GIB)]
    gpu.clocks_event_reasons = 0x4 | 0x40
    gpu.fields[269] = 1_500_000_000
    driver.write()
    async with watched(driver) as watching:
        await watching.look()
        await asyncio.sleep(0.11)  # GPM needs two samples that far apart, in real time
        samples = await watching.look(1)
    held = {"software_power_cap", "hardware_thermal_slowdown"}
    assert samples == pytest.approx(
        {
            ("gpus", ""): 1,
            ("gpu_driver_mismatch", ""): 0,
            (
                "gpu_info",
                "0",
                gpu.name,
                "1600000000",
                "0000:3b:00",
                "570.86.15",
                "12.8",
                "disabled",
                "dedicated",
            ): 1,
            ("gpu_up", "0"): 1,
            ("gpu_index", "0"): 0,
            ("gpu_memory_used_bytes", "0"): 10 * GIB,
            ("gpu_memory_free_bytes", "0"): 69 * GIB,
            ("gpu_memory_reserved_bytes", "0"): GIB,
            ("gpu_memory_total_bytes", "0"): 80 * GIB,
            ("gpu_utilization_ratio", "0"): 0.5,
            ("gpu_memory_utilization_ratio", "0"): 0.2,
            ("gpu_power_watts", "0"): 350,
            ("gpu_energy_joules_total", "0"): 1000,
            ("gpu_sm_clock_hertz", "0"): 1.98e9,
            ("gpu_memory_clock_hertz", "0"): 2.619e9,
            **{("gpu_clocks_event_reason", "0", name): float(name in held) for _, name in REASONS},
            ("gpu_pcie_transmit_bytes_total", "0"): 4_000_000,
            ("gpu_pcie_receive_bytes_total", "0"): 8_000_000,
            ("gpu_graphics_activity_ratio", "0"): 0.5,
            ("gpu_sm_activity_ratio", "0"): 0.4,
            ("gpu_sm_occupancy_ratio", "0"): 0.3,
            ("gpu_tensor_activity_ratio", "0"): 0.2,
            ("gpu_dram_activity_ratio", "0"): 0.6,
            ("gpu_nvlink_receive_bytes_per_second", "0"): 0,
            ("gpu_nvlink_transmit_bytes_per_second", "0"): 0,
            ("gpu_power_limit_watts", "0"): 700,
            ("gpu_temperature_celsius", "0"): 55,
            ("gpu_memory_temperature_celsius", "0"): 60,
            ("gpu_sm_clock_limit_hertz", "0"): 1.98e9,
            ("gpu_memory_clock_limit_hertz", "0"): 2.619e9,
            ("gpu_pcie_link_generation", "0"): 5,
            ("gpu_pcie_link_lanes", "0"): 16,
            ("gpu_pcie_link_generation_limit", "0"): 5,
            ("gpu_pcie_link_lanes_limit", "0"): 16,
            ("gpu_ecc_errors_total", "0", "corrected", "volatile"): 0,
            ("gpu_ecc_errors_total", "0", "corrected", "aggregate"): 2,
            ("gpu_ecc_errors_total", "0", "uncorrected", "volatile"): 0,
            ("gpu_ecc_errors_total", "0", "uncorrected", "aggregate"): 0,
            ("gpu_remapped_rows", "0", "corrected"): 0,
            ("gpu_remapped_rows", "0", "uncorrected"): 0,
            ("gpu_remapped_rows_pending", "0"): 0,
            ("gpu_remapped_rows_failed", "0"): 0,
            ("gpu_recovery_action", "0"): 0,
            ("gpu_throttled_seconds_total", "0", "software_thermal_slowdown"): 1.5,
            ("gpu_throttled_seconds_total", "0", "hardware_thermal_slowdown"): 0,
            ("gpu_throttled_seconds_total", "0", "hardware_power_brake"): 0,
            ("gpu_process_memory_used_bytes", "0", str(os.getpid()), COMM): 3 * GIB,
        }
    )


async def test_unsupported_is_absent(tmp_path: Path) -> None:
    """A consumer GPU without ECC, energy, GPM, field values has no such series, not zeros."""
    driver = StubDriver(tmp_path)
    gpu = driver.gpu(0)
    gpu.ecc_volatile_corrected = gpu.ecc_volatile_uncorrected = None
    gpu.ecc_aggregate_corrected = gpu.ecc_aggregate_uncorrected = None
    gpu.remapped_corrected = gpu.energy = gpu.gpm_supported = gpu.mig_mode = None
    gpu.fields = {}
    driver.write()
    async with watched(driver) as watching:
        await watching.look()
        names = watching.names()
    assert names & {"gpu_power_watts", "gpu_memory_used_bytes"}
    assert not {
        name
        for name in names
        for word in ("ecc", "remapped", "energy", "activity", "pcie_t", "throttled", "recovery")
        if word in name
    }


async def test_unified_memory(tmp_path: Path) -> None:
    """A GPU that shares the host's memory has no memory series and says so on its info."""
    driver = StubDriver(tmp_path)
    driver.gpu(0).memory_total = None
    driver.write()
    async with watched(driver) as watching:
        samples = await watching.look()
        assert not {name for name in watching.names() if name.startswith("gpu_memory_used")}
    assert any(key[0] == "gpu_info" and key[-1] == "unified" for key in samples)


async def test_layout_is_kept_while_it_stands(tmp_path: Path) -> None:
    """The list of series is the very same list until the set of series changes."""
    driver = StubDriver(tmp_path, gpus=2)
    driver.gpu(0).gpm_supported = driver.gpu(1).gpm_supported = 0
    driver.write()
    async with watched(driver) as watching:
        await watching.look()
        first = watching.ids
        await watching.look(6)
        assert watching.ids is first
        driver.gpu(0).processes = [Process(pid=1)]
        driver.write()
        await watching.look(11)
        assert watching.ids is not first


async def test_rare_things_are_read_rarely(tmp_path: Path) -> None:
    """Power is read at each look, temperature after 5 s, the process list after 10 s."""
    driver = StubDriver(tmp_path)
    driver.gpu(0).processes = [Process(pid=1, memory=GIB)]
    driver.write()
    power, temperature = ("gpu_power_watts", "0"), ("gpu_temperature_celsius", "0")

    def memory(samples: dict[tuple[str, ...], float]) -> float:
        (value,) = (v for key, v in samples.items() if key[0] == "gpu_process_memory_used_bytes")
        return value

    async with watched(driver) as watching:
        await watching.look()
        gpu = driver.gpu(0)
        gpu.power_usage, gpu.temperature, gpu.processes[0].memory = 400_000, 80, 2 * GIB
        driver.write()
        seen = await watching.look(1)
        assert (seen[power], seen[temperature], memory(seen)) == (400, 55, GIB)
        seen = await watching.look(4)
        assert (seen[power], seen[temperature], memory(seen)) == (400, 80, GIB)
        seen = await watching.look(5)
        assert (seen[power], seen[temperature], memory(seen)) == (400, 80, 2 * GIB)


async def test_power_peak_between_looks(tmp_path: Path) -> None:
    """A peak that came and went between two looks is seen, once, from the driver's ring."""
    driver = StubDriver(tmp_path)
    gpu = driver.gpu(0)
    gpu.samples[0] = [(1_000_000, 990_000)]  # before the agent looked first: not its peak
    driver.write()
    peak = ("gpu_power_peak_watts", "0")
    async with watched(driver) as watching:
        assert peak not in await watching.look()
        gpu.samples[0] += [(1_020_000, 350_000), (1_040_000, 690_000), (1_060_000, 340_000)]
        driver.write()
        assert (await watching.look(1))[peak] == 690
        assert peak not in await watching.look(1)


async def test_pcie_counter_that_wraps(tmp_path: Path) -> None:
    """A 32-bit wrap carries on upwards; a driver reload starts anew."""
    driver = StubDriver(tmp_path)
    fields = driver.gpu(0).fields
    fields[197] = 2**32 - 100
    driver.write()
    sent = ("gpu_pcie_transmit_bytes_total", "0")
    async with watched(driver) as watching:
        assert (await watching.look())[sent] == 2**32 - 100
        fields[197] = 50
        driver.write()
        assert (await watching.look(1))[sent] == 2**32 + 50
        fields[197] = 2**31 - 1
        driver.write()
        assert (await watching.look(1))[sent] == 2**32 + 2**31 - 1
        fields[197] = 7
        driver.write()
        assert (await watching.look(1))[sent] == 7


async def test_processes_are_named_and_summed(tmp_path: Path) -> None:
    """A process listed twice is one series; unknown memory is absent; a gone one has no name."""
    driver = StubDriver(tmp_path)
    mine = os.getpid()
    driver.gpu(0).processes = [
        Process(pid=mine, memory=GIB),
        Process(pid=mine, memory=GIB),
        Process(pid=2, memory=None),
        Process(pid=2**22 + 1, memory=5),
    ]
    driver.write()
    async with watched(driver) as watching:
        samples = await watching.look()
    assert {key[2:]: v for key, v in samples.items() if "process" in key[0]} == {
        (str(mine), COMM): 2 * GIB,
        (str(2**22 + 1),): 5,
    }


async def test_driver_470(tmp_path: Path) -> None:
    """An old driver gives what it can: memory without reserved, throttle reasons, processes v2."""
    driver = StubDriver(tmp_path, variant="r470")
    driver.gpu(0).processes = [Process(pid=1)]
    driver.write()
    async with watched(driver) as watching:
        samples = await watching.look()
        names = watching.names()
    assert samples["gpu_memory_used_bytes", "0"] == 11 * GIB
    assert {"gpu_clocks_event_reason", "gpu_process_memory_used_bytes"} <= names
    assert "gpu_memory_temperature_celsius" in names
    assert not names & {"gpu_memory_reserved_bytes", "gpu_sm_activity_ratio", "gpu_recovery_action"}
    assert "gpu_pcie_transmit_bytes_total" not in names


async def test_bare_driver(tmp_path: Path) -> None:
    """A library without field values, samples and MIG still gives memory, power and clocks."""
    async with watched(StubDriver(tmp_path, variant="bare")) as watching:
        await watching.look()
        await watching.look(1)
        assert {"gpu_memory_used_bytes", "gpu_power_watts", "gpu_sm_clock_hertz"} <= (
            watching.names()
        )


async def test_no_gpus_is_a_fact(tmp_path: Path) -> None:
    """A driver that shows no GPU is readable: there are 0 GPUs."""
    async with watched(StubDriver(tmp_path, gpus=0)) as watching:
        assert await watching.look() == {("gpus", ""): 0, ("gpu_driver_mismatch", ""): 0}


def test_child_stays_small(tmp_path: Path) -> None:
    """The child imports neither the agent's model nor what would double its memory."""
    script = (
        "import sys, collectors.nvml.child\n"
        "heavy = {'asyncio', 'dataclasses', 'psutil', 'structlog', 'typing', 'inspect',"
        " 'logging', 'pathlib', 'shutil', 'subprocess', 'ctypes.util'}\n"
        "ours = {name for name in sys.modules if name.startswith('agent.')} - {'agent.framing'}\n"
        "print(sorted(heavy & set(sys.modules) | ours))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        env=StubDriver(tmp_path).env(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
