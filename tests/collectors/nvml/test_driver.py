"""Drivers that come, go and do not fit."""

from pathlib import Path

import pytest

from agent.model import SourceError, UnavailableError
from tests.collectors.nvml.readings import WATTS
from tests.fakes.nvml.controller import StubDriver
from tests.fakes.nvml.watched import watched


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
