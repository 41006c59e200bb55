"""Each return code of the driver has the outcome that docs/sources/nvml.md states."""

import asyncio
from pathlib import Path

import pytest

from agent.analysis.peaks import Peaks
from agent.model import Frame, SourceError, UnavailableError
from tests.fakes.nvml.controller import RECOVERY_ACTION, StubDriver, h100, mig_instance
from tests.fakes.nvml.watched import Watched, watched

POWER = "nvmlDeviceGetPowerUsage"
WATTS = ("gpu_power_watts", "0")


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


@pytest.mark.parametrize("gone", ["last", "first"])
async def test_gpu_vanishes_and_returns_elsewhere(tmp_path: Path, gone: str) -> None:
    """A GPU that is no longer listed is lost by uuid; renumbered ones keep their identity."""
    driver = StubDriver(tmp_path, gpus=2)
    a, b = driver.gpu(0), driver.gpu(1)
    lost, left = (b, a) if gone == "last" else (a, b)
    async with watched(driver) as watching:
        await watching.look()
        driver.gpus = [left]
        driver.write()
        await watching.look(1)
        assert _up(watching) == {left.uuid: 1, lost.uuid: 0}
        renumbered = [] if gone == "last" else ["gpu_renumbered"]
        assert watching.kinds() == [*renumbered, "gpu_lost"]
        driver.gpus = [left, lost]
        driver.write()
        await watching.look(1)
        assert _up(watching) == {left.uuid: 1, lost.uuid: 1}
        assert "gpu_returned" in watching.kinds()


def _drawn(watching: Watched) -> dict[str, float]:
    """Return the power of each GPU by its uuid."""
    return {
        dict(series.label_pairs())["uuid"]: value
        for series, value in watching.named("inferwatch_gpu_power_watts")
    }


async def test_renumbering_without_a_change_of_count(tmp_path: Path) -> None:
    """Two GPUs that swap indexes are noticed within the slow interval, and no series changes."""
    driver = StubDriver(tmp_path, gpus=2)
    a, b = driver.gpu(0), driver.gpu(1)
    b.power_usage = 100_000
    driver.write()
    async with watched(driver) as watching:
        await watching.look()
        assert (await watching.look(1))[WATTS] == 350
        before = set(watching.ids)
        assert _indexes(watching) == {("0", a.uuid): 0, ("1", b.uuid): 1}
        driver.gpus = [b, a]
        driver.write()
        await watching.look(6)
        assert (await watching.look(1))[WATTS] == 350
        assert set(watching.ids) == before
        assert _drawn(watching) == {a.uuid: 350, b.uuid: 100}
        assert _indexes(watching) == {("0", a.uuid): 1, ("1", b.uuid): 0}
        assert watching.kinds() == ["gpu_renumbered", "gpu_renumbered"]
        assert watching.events[0].message.endswith("was at index 1 and is now at index 0")
        watching.supervisor.replace()
        await watching.look(1)
        assert (await watching.look(1))[WATTS] == 350
        b.faults[POWER] = 15
        driver.write()
        await watching.look(1)
        assert _up(watching) == {a.uuid: 1, b.uuid: 0}
        assert watching.events[-1].labels["gpu"] == "1"


async def test_peaks_go_on_when_gpus_are_renumbered(tmp_path: Path) -> None:
    """The highest power of a GPU is its own, whatever its index was when it drew it."""
    driver = StubDriver(tmp_path, gpus=2)
    a, b = driver.gpu(0), driver.gpu(1)
    a.power_usage, b.power_usage = 600_000, 100_000
    driver.write()
    async with watched(driver) as watching:
        peaks = Peaks(60.0)

        async def highest(after: float) -> dict[str, float]:
            await watching.look(after)
            frame = Frame(watching.clock.time(), watching.table, watching.ids, watching._values)
            found = peaks.observe(frame)
            return {
                dict(series.label_pairs())["uuid"]: value
                for series, value in (
                    (watching.table[at], value)
                    for at, value in zip(found.ids, found.values, strict=True)
                )
                if series.sample_name == "inferwatch_gpu_power_watts_max"
            }

        await highest(0)
        a.power_usage = 200_000
        driver.gpus = [b, a]
        driver.write()
        assert await highest(6) == {a.uuid: 600, b.uuid: 100}
        assert await highest(1) == {a.uuid: 600, b.uuid: 100}


async def test_an_instance_keeps_the_label_of_its_gpu(tmp_path: Path) -> None:
    """MIG instances of a GPU that has moved are shown below the label that it has."""
    driver = StubDriver(tmp_path, gpus=2)
    a, b = driver.gpu(0), driver.gpu(1)
    b.mig_mode, b.mig_max = 1, 7
    b.migs = [mig_instance(1, 0, gpu_instance=1)]
    driver.write()
    async with watched(driver) as watching:
        await watching.look()
        before = {key for key in await watching.look(1) if "1/0" in key}
        assert {key[1] for key in before} == {"1"}
        driver.gpus = [b, a]
        driver.write()
        await watching.look(6)
        assert {key for key in await watching.look(1) if "1/0" in key} == before


async def test_a_label_outlives_the_collector(tmp_path: Path) -> None:
    """A collector that is made anew, as by a reload, goes on with the labels there were."""
    driver = StubDriver(tmp_path, gpus=2)
    a, b = driver.gpu(0), driver.gpu(1)
    async with watched(driver) as watching:
        await watching.look()
        names = watching.collector._names
    driver.gpus = [b, a]
    driver.write()
    async with watched(driver, names=names) as watching:
        await watching.look()
        assert _indexes(watching) == {("0", a.uuid): 1, ("1", b.uuid): 0}


def _indexes(watching: Watched) -> dict[tuple[str, str], float]:
    """Return the index of each GPU by label and uuid."""
    return {
        (series.labels[0], series.labels[1]): value
        for series, value in watching.named("inferwatch_gpu_index")
    }


async def test_gpu_that_only_a_fresh_process_sees(tmp_path: Path) -> None:
    """While a GPU is missing the child is replaced after a minute: it may keep its first list."""
    driver = StubDriver(tmp_path, gpus=2)
    a, b = driver.gpu(0), driver.gpu(1)
    driver.devices_fixed_at_init = True
    driver.write()
    async with watched(driver) as watching:
        await watching.look()
        driver.gpus = [a]
        driver.generation += 1
        driver.write()
        with pytest.raises(SourceError):
            await watching.look(1)
        await watching.look(2)
        second = watching.pid
        driver.gpus = [a, b]
        driver.write()
        await watching.look(50)
        assert _up(watching) == {a.uuid: 1, b.uuid: 0}
        assert watching.pid == second
        await watching.look(20)
        await watching.look(1)
        assert _up(watching) == {a.uuid: 1, b.uuid: 1}


async def test_driver_appears_after_start(tmp_path: Path) -> None:
    """Without a loaded driver the source is unavailable; once it is loaded it is found."""
    driver = StubDriver(tmp_path)
    driver.loaded = False
    driver.write()
    async with watched(driver) as watching:
        with pytest.raises(UnavailableError, match="modprobe"):
            await watching.look()
        driver.loaded = True
        driver.write()
        with pytest.raises(UnavailableError):  # left alone for a moment
            await watching.look(0.5)
        assert WATTS in await watching.look(1)


async def test_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libnvidia-ml the source is unavailable and the message says what to do."""
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    driver = StubDriver(tmp_path)
    monkeypatch.setattr(
        driver, "env", lambda: {"LD_LIBRARY_PATH": str(tmp_path), "PATH": "/nonexistent"}
    )
    async with watched(driver) as watching:
        try:
            await watching.look()
        except UnavailableError as error:
            assert "collectors.nvml.enabled" in str(error)  # noqa: PT017 - skipped otherwise
        else:
            pytest.skip("this host has a real NVIDIA driver library")


async def test_no_permission_at_all(tmp_path: Path) -> None:
    """A driver that refuses everything is broken, not absent, and the message says why."""
    driver = StubDriver(tmp_path)
    driver.faults["nvmlInitWithFlags"] = 4
    driver.write()
    async with watched(driver) as watching:
        with pytest.raises(SourceError, match="/dev/nvidia") as caught:
            await watching.look()
        assert not isinstance(caught.value, UnavailableError)


async def test_driver_upgrade(tmp_path: Path) -> None:
    """After a version mismatch (18) only a fresh process helps, and it is started."""
    driver = StubDriver(tmp_path)
    async with watched(driver) as watching:
        await watching.look()
        first = watching.pid
        driver.generation += 1
        driver.driver_version = "580.1"
        driver.write()
        with pytest.raises(SourceError, match="upgraded"):
            await watching.look(1)
        samples = await watching.look(2)
        assert watching.pid != first
        assert any("580.1" in key for key in samples if key[0] == "gpu_info")


async def test_a_mismatch_is_told_apart(tmp_path: Path) -> None:
    """While library and module differ (18) that is a fact of its own: 1 then, 0 when they fit."""
    driver = StubDriver(tmp_path)
    driver.faults["nvmlInitWithFlags"] = 18
    driver.write()
    async with watched(driver) as watching:
        for after in (0, 0.5, 3):  # asked, left alone for a while, asked again
            with pytest.raises(SourceError, match="upgraded") as caught:
                await watching.look(after)
            (series_id,) = caught.value.facts.ids
            assert watching.table[series_id].sample_name == "inferwatch_gpu_driver_mismatch"
            assert list(caught.value.facts.values) == [1.0]
        driver.faults.clear()
        driver.write()
        assert (await watching.look(60))["gpu_driver_mismatch", ""] == 0.0


async def test_other_failures_say_nothing_of_a_mismatch(tmp_path: Path) -> None:
    """Whether the versions differ is unknown where the driver refuses for another reason."""
    driver = StubDriver(tmp_path)
    driver.faults["nvmlInitWithFlags"] = 4
    driver.write()
    async with watched(driver) as watching:
        with pytest.raises(SourceError) as caught:
            await watching.look()
        assert list(caught.value.facts.ids) == []


async def test_driver_unloaded_while_watched(tmp_path: Path) -> None:
    """A driver that goes away (9) after it was there is broken, not absent."""
    driver = StubDriver(tmp_path)
    async with watched(driver) as watching:
        await watching.look()
        driver.faults["*"] = 9
        driver.write()
        with pytest.raises(SourceError) as caught:
            await watching.look(1)
        assert not isinstance(caught.value, UnavailableError)


@pytest.mark.parametrize("code", [1, 9, 18, 999])
async def test_driver_gone_needs_a_fresh_process(tmp_path: Path, code: int) -> None:
    """After an error that concerns the whole library another process goes on."""
    driver = StubDriver(tmp_path)
    async with watched(driver) as watching:
        await watching.look()
        first = watching.pid
        driver.faults["nvmlDeviceGetCount_v2"] = code
        driver.write()
        with pytest.raises(SourceError):
            await watching.look(1)
        driver.faults.clear()
        driver.write()
        assert WATTS in await watching.look(2)
        assert watching.pid != first


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


def _up(watching: Watched) -> dict[str, float]:
    """Return `gpu_up` by uuid."""
    return {
        dict(series.label_pairs())["uuid"]: value
        for series, value in watching.named("inferwatch_gpu_up")
    }
