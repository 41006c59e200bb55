"""Old drivers, as built variants of the stub, and how the stub is built."""

import time
from pathlib import Path

import pytest

from tests.fakes.nvml import build as build_module
from tests.fakes.nvml.build import CompilerMissingError, Variant, build
from tests.fakes.nvml.controller import (
    StubDriver,
)
from tests.fakes.nvml.session import ask


@pytest.mark.parametrize(
    ("variant", "missing"),
    [
        (
            "r470",
            {"memory_v2", "processes_v3", "event_reasons", "gpm"},
        ),
        (
            "bare",
            {"memory_v2", "processes_v3", "event_reasons", "gpm", "fields", "samples", "mig"},
        ),
        ("full", set()),
    ],
)
def test_variants_lack_symbols(tmp_path: Path, variant: Variant, missing: set[str]) -> None:
    """A variant answers FunctionNotFound (13) for what its driver did not have, and only that."""
    driver = StubDriver(tmp_path, variant=variant)
    driver.gpu(0).samples[0] = [(1, 1)]
    driver.write()
    (absent,) = ask(
        driver,
        """
calls = {
    "memory_v2": lambda: n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2),
    "processes_v3": lambda: n.nvmlDeviceGetComputeRunningProcesses_v3(h),
    "event_reasons": lambda: n.nvmlDeviceGetCurrentClocksEventReasons(h),
    "gpm": lambda: n.nvmlGpmQueryDeviceSupport(h),
    "fields": lambda: n.nvmlDeviceGetFieldValues(h, [83]),
    "samples": lambda: n.nvmlDeviceGetSamples(h, 0, 0),
    "mig": lambda: n.nvmlDeviceGetMigMode(h),
    "memory_v1": lambda: n.nvmlDeviceGetMemoryInfo(h),
    "processes_v2": lambda: n.nvmlDeviceGetComputeRunningProcesses_v2(h),
    "throttle_reasons": lambda: n.nvmlDeviceGetCurrentClocksThrottleReasons(h),
}
tell(lambda: [name for name, call in calls.items() if code(call) == {"error": 13}])
""",
    )
    assert set(absent) == missing


def test_old_driver_does_not_know_new_fields(tmp_path: Path) -> None:
    """Driver 470 answers INVALID_ARGUMENT for field values that came later."""
    (answers,) = ask(
        StubDriver(tmp_path, variant="r470"),
        "tell(lambda: [f.nvmlReturn for f in n.nvmlDeviceGetFieldValues(h, [83, 142, 197, 230])])",
    )
    assert answers == [0, 0, 2, 2]


def test_build_is_cached_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same source is compiled once; without a compiler the error says what to install."""
    library = build("full") / "libnvidia-ml.so.1"
    before = library.stat().st_mtime_ns
    time.sleep(0.01)
    assert build("full") / "libnvidia-ml.so.1" == library
    assert library.stat().st_mtime_ns == before
    monkeypatch.setattr(build_module, "CACHE", tmp_path)
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(CompilerMissingError, match="install gcc"):
        build("full")
