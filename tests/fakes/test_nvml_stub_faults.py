"""What may go wrong with a driver, as the stub plays it, seen through the real nvidia-ml-py."""

import subprocess
from pathlib import Path

import pytest

from tests.fakes.nvml.controller import (
    FOREVER,
    MIG_CONFIG_CHANGE,
    RECOVERY_ACTION,
    UNAVAILABLE,
    XID,
    StubDriver,
)
from tests.fakes.nvml.session import Talk, ask


def test_events(tmp_path: Path) -> None:
    """A set gets what happens after it was made, of the types asked for, else TIMEOUT."""
    driver = StubDriver(tmp_path)
    driver.push_xid(0, 13)
    process = Talk(
        driver,
        """
events = n.nvmlEventSetCreate()
tell(lambda: n.nvmlDeviceGetSupportedEventTypes(h))
tell(lambda: n.nvmlDeviceRegisterEvents(h, 0x8 | 0x100 | 0x4000, events))
tell(lambda: n.nvmlEventSetWait_v2(events, 1))
print("ready", flush=True)
for _ in range(3):
    data = n.nvmlEventSetWait_v2(events, 5000)
    tell(lambda: [n.nvmlDeviceGetUUID(data.device), data.eventType, data.eventData])
tell(lambda: n.nvmlDeviceRegisterEvents(h, 1 << 40, events))
tell(lambda: n.nvmlEventSetFree(events))
""",
    )
    process.wait_for("ready")
    driver.push_xid(0, 79)
    driver.push_event(0, kind=RECOVERY_ACTION, data=1)  # not asked for
    driver.push_event(0, kind=MIG_CONFIG_CHANGE)
    driver.push_event(0, kind=UNAVAILABLE)
    uuid = driver.gpu(0).uuid
    assert process.answers() == [
        0xFFFF,
        None,
        {"error": 10},
        [uuid, XID, 79],
        [uuid, MIG_CONFIG_CHANGE, 0],
        [uuid, UNAVAILABLE, 0],
        {"error": 2},
        None,
    ]


@pytest.mark.parametrize("code", [3, 4, 9, 15, 16, 17, 18, 21, 999])
def test_faults_by_function(tmp_path: Path, code: int) -> None:
    """A named function answers any scripted code, on one device only where that is asked."""
    driver = StubDriver(tmp_path, gpus=2)
    driver.gpu(0).faults["nvmlDeviceGetPowerUsage"] = code
    driver.faults["nvmlDeviceGetTemperature"] = code
    driver.write()
    answers = ask(
        driver,
        """
other = n.nvmlDeviceGetHandleByIndex(1)
tell(lambda: n.nvmlDeviceGetPowerUsage(h))
tell(lambda: n.nvmlDeviceGetPowerUsage(other))
tell(lambda: n.nvmlDeviceGetTemperature(other, 0))
""",
    )
    assert answers == [{"error": code}, 350_000, {"error": code}]


def test_gpu_disappears_and_is_renumbered(tmp_path: Path) -> None:
    """A lost GPU answers 15 on its old handle; others stay; it may return under another index."""
    driver = StubDriver(tmp_path, gpus=3)
    process = Talk(
        driver,
        """
last = n.nvmlDeviceGetHandleByIndex(2)
def count_and_uuids():
    return [code(lambda: n.nvmlDeviceGetUUID(n.nvmlDeviceGetHandleByIndex(i)))
            for i in range(n.nvmlDeviceGetCount())]
for step in range(4):
    print("ready", flush=True)
    sys.stdin.readline()
    tell(lambda: [count_and_uuids(), code(lambda: n.nvmlDeviceGetPowerUsage(last))])
""",
    )
    a, b, c = driver.gpus
    assert a is not None
    assert b is not None
    assert c is not None
    for gpus in ([a, b, c], [a, None, c], [a, b], [c, a, b]):
        process.wait_for("ready")
        driver.gpus = list(gpus)
        driver.write()
        process.say()
    assert process.answers() == [
        [[a.uuid, b.uuid, c.uuid], 350_000],
        [[a.uuid, {"error": 15}, c.uuid], 350_000],
        [[a.uuid, b.uuid], {"error": 15}],
        [[c.uuid, a.uuid, b.uuid], 350_000],
    ]


def test_devices_fixed_at_init(tmp_path: Path) -> None:
    """When scripted so, a process sees the GPUs of its nvmlInit for ever, as drivers may do it."""
    driver = StubDriver(tmp_path, gpus=2)
    driver.devices_fixed_at_init = True
    driver.write()
    process = Talk(
        driver,
        """
def codes():
    return [n.nvmlDeviceGetCount()] + [
        "there" if isinstance(code(lambda: n.nvmlDeviceGetHandleByIndex(i)), n.c_nvmlDevice_t)
        else "lost" for i in range(2)]
for _ in range(2):
    tell(codes)
    print("ready", flush=True)
    sys.stdin.readline()
""",
    )
    process.wait_for("ready")
    del driver.gpus[1]
    driver.write()
    process.say()
    process.wait_for("ready")
    process.say()
    assert process.answers() == [[2, "there", "there"], [2, "there", "lost"]]


def test_driver_absent_then_reloaded(tmp_path: Path) -> None:
    """Without a driver init answers 9; after a reload old processes get 18 and new ones work."""
    driver = StubDriver(tmp_path)
    driver.loaded = False
    driver.write()
    script = "tell(n.nvmlInit)\ntell(n.nvmlDeviceGetCount)"
    assert ask(driver, script, init=False) == [{"error": 9}, {"error": 1}]
    driver.loaded = True
    driver.write()
    process = Talk(
        driver,
        """
tell(n.nvmlDeviceGetCount)
print("ready", flush=True)
sys.stdin.readline()
tell(n.nvmlDeviceGetCount)
tell(n.nvmlInit)
""",
    )
    process.wait_for("ready")
    driver.generation += 1
    driver.write()
    process.say()
    assert process.answers() == [1, {"error": 18}, {"error": 18}]
    assert ask(driver, script, init=False) == [None, 1]


def test_shutdown_is_counted(tmp_path: Path) -> None:
    """Every init needs its shutdown; after the last one calls answer UNINITIALIZED."""
    answers = ask(
        StubDriver(tmp_path),
        """
n.nvmlInit()
tell(n.nvmlShutdown)
tell(n.nvmlDeviceGetCount)
tell(n.nvmlShutdown)
tell(n.nvmlDeviceGetCount)
tell(n.nvmlShutdown)
""",
    )
    assert answers == [None, 1, None, {"error": 1}, {"error": 1}]


def test_short_buffers_and_wild_handles(tmp_path: Path) -> None:
    """A buffer that is too small and a handle that is none are refused, not written through."""
    answers = ask(
        StubDriver(tmp_path),
        """
n.NVML_DEVICE_NAME_V2_BUFFER_SIZE = 8
tell(lambda: n.nvmlDeviceGetName(h))
tell(lambda: n.nvmlDeviceGetPowerUsage(n.c_nvmlDevice_t()))
off = ctypes.cast(ctypes.addressof(h.contents) + 1, n.c_nvmlDevice_t)
tell(lambda: n.nvmlDeviceGetPowerUsage(off))
""",
    )
    assert answers == [{"error": 7}, {"error": 2}, {"error": 2}]


def test_hang_for_a_while_and_for_ever(tmp_path: Path) -> None:
    """A hang lasts as long as scripted; one without end blocks until it is lifted or killed."""
    driver = StubDriver(tmp_path)
    driver.hangs["nvmlDeviceGetPowerUsage"] = 120
    driver.hangs["nvmlDeviceGetTemperature"] = FOREVER
    driver.write()
    process = Talk(
        driver,
        """
began = time.monotonic()
tell(lambda: n.nvmlDeviceGetPowerUsage(h))
tell(lambda: time.monotonic() - began)
print("ready", flush=True)
tell(lambda: n.nvmlDeviceGetTemperature(h, 0))
""",
    )
    process.wait_for("ready")
    with pytest.raises(subprocess.TimeoutExpired):
        process.process.wait(timeout=0.2)
    del driver.hangs["nvmlDeviceGetTemperature"]
    driver.write()
    power, took, temperature = process.answers()
    assert (power, temperature) == (350_000, 55)
    assert 0.12 <= took < 5


def test_call_time(tmp_path: Path) -> None:
    """Every call takes at least as long as scripted, for benches with realistic call times."""
    driver = StubDriver(tmp_path)
    driver.call_us = 3000
    driver.write()
    (took,) = ask(
        driver,
        """
began = time.monotonic()
for _ in range(10):
    n.nvmlDeviceGetPowerUsage(h)
tell(lambda: time.monotonic() - began)
""",
    )
    assert took >= 0.03
