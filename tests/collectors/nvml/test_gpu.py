"""The same collector on a real GPU, and what the driver's calls cost there.

`make test-gpu` prints a table of call times; nothing here needs the stub.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator

import pytest

from agent.config.settings import Nvml
from agent.model import SeriesTable, UnavailableError
from collectors.nvml import driver
from collectors.nvml.collector import NvmlCollector
from collectors.nvml.probes import FAST_FIELDS, GPM_METRICS, SLOW_FIELDS
from tests.fakes.clock import ManualClock

pytestmark = pytest.mark.gpu

ROUNDS = 50


@pytest.fixture
def real_gpu() -> Iterator[object]:
    """Give a handle of GPU 0, or skip with the reason."""
    try:
        driver.init()
    except driver.NvmlError as error:
        pytest.skip(f"no NVIDIA driver here: {error}")
    try:
        if driver.count() == 0:
            pytest.skip("the NVIDIA driver shows no GPU")
        yield driver.by_index(0)
    finally:
        driver.shutdown()


async def test_collects(real_gpu: object) -> None:
    """Memory adds up, ratios lie between 0 and 1, and every GPU is up."""
    assert real_gpu
    table, clock = SeriesTable(), ManualClock()
    collector = NvmlCollector(table, Nvml(), clock=clock)
    try:
        try:
            await collector.collect()
        except UnavailableError as error:
            pytest.fail(f"the child finds no driver: {error}")
        await asyncio.sleep(0.2)
        clock.advance(1)
        reading = await collector.collect()
    finally:
        await collector.aclose()
    values: dict[str, list[float]] = {}
    for series_id, value in zip(reading.ids, reading.values, strict=True):
        values.setdefault(table[series_id].sample_name, []).append(value)
    assert set(values["inferwatch_gpu_up"]) == {1.0}
    for name, numbers in values.items():
        if name.endswith("_ratio"):
            assert all(0 <= number <= 1 for number in numbers), name
    if "inferwatch_gpu_memory_total_bytes" in values:
        parts = ("used", "free", "reserved")
        total = sum(sum(values.get(f"inferwatch_gpu_memory_{part}_bytes", [])) for part in parts)
        assert total == pytest.approx(sum(values["inferwatch_gpu_memory_total_bytes"]), rel=0.001)


def test_call_times(real_gpu: object, capsys: pytest.CaptureFixture[str]) -> None:
    """Every call that a tick makes takes less than a tick; the table says how long each takes."""
    times = {name: _time(call) for name, call in _calls(real_gpu).items()}
    lines = [f"{'call':<28}{'median µs':>12}{'worst µs':>12}"]
    for name, found in times.items():
        if isinstance(found, int):
            lines.append(f"{name:<28}{f'code {found}':>12}")
        else:
            lines.append(f"{name:<28}{found[0] * 1e6:>12.1f}{found[1] * 1e6:>12.1f}")
    with capsys.disabled():
        print("\n" + "\n".join(lines))  # noqa: T201 - the table is what one runs this for
    assert all(isinstance(found, int) or found[0] < 1 for found in times.values())


def _calls(handle: object) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    calls: dict[str, Callable[[], object]] = {
        "count": driver.count,
        "memory_v2": driver.memory_v2(handle),
        "utilization": driver.utilization(handle),
        "power": driver.power(handle),
        "energy": driver.energy(handle),
        "sm_clock": driver.sm_clock(handle),
        "event_reasons": driver.event_reasons(handle),
        "temperature": lambda: driver.temperature(handle),
        "ecc_errors": lambda: driver.ecc_errors(handle, errorType=0, counterType=0),
        "remapped_rows": lambda: driver.remapped_rows(handle),
        "processes": lambda: driver.processes(handle),
        "power samples": driver.SampleRing(handle, driver.POWER_SAMPLES).read,
        "fields, fast": driver.FieldValues(handle, tuple(FAST_FIELDS)).read,
        "fields, slow": driver.FieldValues(handle, tuple(SLOW_FIELDS)).read,
    }
    for tier in (FAST_FIELDS, SLOW_FIELDS):
        for field_id in tier:
            calls[f"field {field_id}"] = driver.FieldValues(handle, (field_id,)).read
    try:
        supported = driver.Gpm.is_supported(handle)
    except driver.NvmlError:
        supported = False
    if supported:
        gpm = driver.Gpm(handle, tuple(GPM_METRICS))
        gpm.take()
        time.sleep(0.2)
        gpm.take()
        calls |= {"gpm metrics": gpm.metrics, "gpm sample": gpm.take}
    return calls


def _time(call: Callable[[], object]) -> tuple[float, float] | int:
    """Return median and worst duration in seconds, or the code of a call that fails."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        try:
            call()
        except driver.NvmlError as error:
            return driver.code_of(error)
        took.append(time.perf_counter() - began)
    return statistics.median(took), max(took)
