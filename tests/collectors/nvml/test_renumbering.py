"""GPUs that vanish, return, and are numbered anew."""

from pathlib import Path

import pytest

from agent.analysis.peaks import Peaks
from agent.model import Frame, SourceError
from tests.collectors.nvml.readings import POWER, WATTS, up_of
from tests.fakes.nvml.controller import StubDriver, mig_instance
from tests.fakes.nvml.watched import Watched, watched


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
        assert up_of(watching) == {left.uuid: 1, lost.uuid: 0}
        renumbered = [] if gone == "last" else ["gpu_renumbered"]
        assert watching.kinds() == [*renumbered, "gpu_lost"]
        driver.gpus = [left, lost]
        driver.write()
        await watching.look(1)
        assert up_of(watching) == {left.uuid: 1, lost.uuid: 1}
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
        assert up_of(watching) == {a.uuid: 1, b.uuid: 0}
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
        assert up_of(watching) == {a.uuid: 1, b.uuid: 0}
        assert watching.pid == second
        await watching.look(20)
        await watching.look(1)
        assert up_of(watching) == {a.uuid: 1, b.uuid: 1}
