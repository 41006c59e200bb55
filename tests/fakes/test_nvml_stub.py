"""The stub driver behaves as the real library does, seen through the real nvidia-ml-py."""

from pathlib import Path

from tests.fakes.nvml.controller import (
    GIB,
    Process,
    StubDriver,
    mig_instance,
)
from tests.fakes.nvml.session import ask


def test_system_and_discovery(tmp_path: Path) -> None:
    """Versions, count and the three ways to a handle give the scripted devices."""
    driver = StubDriver(tmp_path, gpus=2)
    answers = ask(
        driver,
        """
tell(n.nvmlSystemGetDriverVersion)
tell(n.nvmlSystemGetNVMLVersion)
tell(n.nvmlSystemGetCudaDriverVersion_v2)
tell(n.nvmlDeviceGetCount)
second = n.nvmlDeviceGetHandleByIndex(1)
for handle in (second, n.nvmlDeviceGetHandleByUUID(n.nvmlDeviceGetUUID(second)),
               n.nvmlDeviceGetHandleByPciBusId("00000000:3C:00.0")):
    tell(lambda: n.nvmlDeviceGetUUID(handle))
tell(lambda: n.nvmlDeviceGetName(h))
tell(lambda: n.nvmlDeviceGetSerial(h))
tell(lambda: n.nvmlDeviceGetMinorNumber(second))
pci = n.nvmlDeviceGetPciInfo(h)
tell(lambda: [text(pci.busId), text(pci.busIdLegacy), pci.domain, pci.bus, pci.device])
tell(lambda: n.nvmlDeviceGetHandleByIndex(2))
tell(lambda: n.nvmlDeviceGetHandleByUUID("GPU-none"))
tell(lambda: n.nvmlDeviceGetHandleByPciBusId("00000000:FF:00.0"))
""",
    )
    uuid = driver.gpu(1).uuid
    assert answers == [
        "570.86.15",
        "12.570.86.15",
        12080,
        2,
        uuid,
        uuid,
        uuid,
        "NVIDIA H100 80GB HBM3",
        "1600000000",
        1,
        ["00000000:3B:00.0", "0000:3B:00.0", 0, 0x3B, 0],
        {"error": 2},
        {"error": 6},
        {"error": 6},
    ]


def test_plain_numbers(tmp_path: Path) -> None:
    """Every plain number is the scripted one, in NVML's own unit."""
    driver = StubDriver(tmp_path)
    answers = ask(
        driver,
        """
tell(lambda: struct(n.nvmlDeviceGetUtilizationRates(h)))
tell(lambda: n.nvmlDeviceGetPowerUsage(h))
tell(lambda: n.nvmlDeviceGetEnforcedPowerLimit(h))
tell(lambda: n.nvmlDeviceGetTotalEnergyConsumption(h))
tell(lambda: n.nvmlDeviceGetTemperature(h, n.NVML_TEMPERATURE_GPU))
tell(lambda: n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_SM))
tell(lambda: n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_MEM))
tell(lambda: n.nvmlDeviceGetMaxClockInfo(h, n.NVML_CLOCK_SM))
tell(lambda: n.nvmlDeviceGetMaxClockInfo(h, n.NVML_CLOCK_MEM))
tell(lambda: n.nvmlDeviceGetCurrentClocksEventReasons(h))
tell(lambda: n.nvmlDeviceGetCurrentClocksThrottleReasons(h))
tell(lambda: n.nvmlDeviceGetCurrPcieLinkGeneration(h))
tell(lambda: n.nvmlDeviceGetCurrPcieLinkWidth(h))
tell(lambda: n.nvmlDeviceGetMaxPcieLinkGeneration(h))
tell(lambda: n.nvmlDeviceGetMaxPcieLinkWidth(h))
tell(lambda: [n.nvmlDeviceGetTotalEccErrors(h, e, c) for c in (0, 1) for e in (0, 1)])
tell(lambda: n.nvmlDeviceGetRemappedRows(h))
tell(lambda: n.nvmlDeviceGetClockInfo(h, 9))
tell(lambda: n.nvmlDeviceGetTemperature(h, 7))
tell(lambda: n.nvmlDeviceGetTotalEccErrors(h, 2, 0))
""",
    )
    assert answers == [
        {"gpu": 50, "memory": 20},
        350_000,
        700_000,
        1_000_000,
        55,
        1980,
        2619,
        1980,
        2619,
        0,
        0,
        5,
        16,
        5,
        16,
        [0, 0, 2, 0],
        [0, 0, 0, 0],
        {"error": 2},
        {"error": 2},
        {"error": 2},
    ]


def test_memory_versions(tmp_path: Path) -> None:
    """Memory v2 says what is reserved, v1 counts it as used, a wrong version word is refused."""
    driver = StubDriver(tmp_path)
    first, second, wrong = ask(
        driver,
        """
tell(lambda: struct(n.nvmlDeviceGetMemoryInfo(h)))
tell(lambda: struct(n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2)))
tell(lambda: struct(n.nvmlDeviceGetMemoryInfo(h, version=0x03000028)))
""",
    )
    assert first == {"total": 80 * GIB, "free": 69 * GIB, "used": 11 * GIB}
    assert second == {
        "version": 0x02000028,
        "total": 80 * GIB,
        "reserved": GIB,
        "free": 69 * GIB,
        "used": 10 * GIB,
    }
    assert wrong == {"error": 25}


def test_absent_numbers_are_not_supported(tmp_path: Path) -> None:
    """What the device does not have answers NOT_SUPPORTED, never a zero."""
    driver = StubDriver(tmp_path)
    gpu = driver.gpu(0)
    gpu.memory_total = gpu.power_usage = gpu.energy = gpu.serial = None
    gpu.ecc_volatile_corrected = gpu.remapped_pending = gpu.utilization_gpu = None
    driver.write()
    answers = ask(
        driver,
        """
tell(lambda: n.nvmlDeviceGetMemoryInfo(h))
tell(lambda: n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2))
tell(lambda: n.nvmlDeviceGetPowerUsage(h))
tell(lambda: n.nvmlDeviceGetTotalEnergyConsumption(h))
tell(lambda: n.nvmlDeviceGetSerial(h))
tell(lambda: n.nvmlDeviceGetTotalEccErrors(h, 0, 0))
tell(lambda: n.nvmlDeviceGetRemappedRows(h))
tell(lambda: n.nvmlDeviceGetUtilizationRates(h))
""",
    )
    assert answers == [{"error": 3}] * 8


def test_field_values(tmp_path: Path) -> None:
    """Each field value carries its own return code, and the structure is 40 bytes."""
    driver = StubDriver(tmp_path)
    driver.gpu(0).field_errors[230] = 4
    driver.write()
    (answers, size) = ask(
        driver,
        """
tell(lambda: [[f.fieldId, f.nvmlReturn, f.valueType, f.value.ullVal]
              for f in n.nvmlDeviceGetFieldValues(h, [83, 197, 230, 200, 5000])])
tell(lambda: ctypes.sizeof(n.c_nvmlFieldValue_t))
""",
    )
    assert size == 40
    assert answers == [
        [83, 0, 3, 1_000_000],
        [197, 0, 3, 4_000_000],
        [230, 4, 3, 0],
        [200, 3, 3, 0],
        [5000, 2, 3, 0],
    ]


def test_samples_ring(tmp_path: Path) -> None:
    """The ring gives what is newer than the last sample seen, and NOT_FOUND when nothing is."""
    driver = StubDriver(tmp_path)
    driver.gpu(0).samples[0] = [(1000, 300_000), (2000, 650_000), (3000, 310_000)]
    driver.write()
    answers = ask(
        driver,
        """
def ring(kind, since):
    value_type, samples = n.nvmlDeviceGetSamples(h, kind, since)
    return [value_type, [[s.timeStamp, s.sampleValue.uiVal] for s in samples]]
tell(lambda: ring(n.NVML_TOTAL_POWER_SAMPLES, 1000))
tell(lambda: ring(n.NVML_TOTAL_POWER_SAMPLES, 3000))
tell(lambda: ring(n.NVML_GPU_UTILIZATION_SAMPLES, 0))
tell(lambda: ring(77, 0))
""",
    )
    assert answers == [
        [1, [[2000, 650_000], [3000, 310_000]]],
        {"error": 6},
        {"error": 6},
        {"error": 2},
    ]


def test_processes(tmp_path: Path) -> None:
    """Processes come in v3 structures of 24 bytes; unknown memory is None through pynvml."""
    driver = StubDriver(tmp_path, gpus=2)
    driver.gpu(0).processes = [
        Process(pid=10, memory=3 * GIB, sm=42, memory_utilization=7),
        Process(pid=11, memory=None),
    ]
    driver.write()
    answers = ask(
        driver,
        """
idle = n.nvmlDeviceGetHandleByIndex(1)
tell(lambda: [[p.pid, p.usedGpuMemory] for p in n.nvmlDeviceGetComputeRunningProcesses_v3(h)])
tell(lambda: [[p.pid, p.usedGpuMemory] for p in n.nvmlDeviceGetComputeRunningProcesses_v2(h)])
tell(lambda: n.nvmlDeviceGetComputeRunningProcesses(idle))
tell(lambda: ctypes.sizeof(n.c_nvmlProcessInfo_v3_t))
tell(lambda: [[p.pid, p.smUtil, p.memUtil] for p in n.nvmlDeviceGetProcessUtilization(h, 0)])
tell(lambda: n.nvmlDeviceGetProcessUtilization(idle, 0))
""",
    )
    listed = [[10, 3 * GIB], [11, None]]
    assert answers == [listed, listed, [], 24, [[10, 42, 7], [11, 0, 0]], {"error": 6}]


_GPM = """
def sample(device=None, instance=None):
    s = n.nvmlGpmSampleAlloc()
    if instance is None:
        n.nvmlGpmSampleGet(device or h, s)
    else:
        n.nvmlGpmMigSampleGet(h, instance, s)
    return s
def metrics(a, b, ids=(2, 5, 99), version=n.NVML_GPM_METRICS_GET_VERSION):
    request = n.c_nvmlGpmMetricsGet_t()
    request.version, request.numMetrics = version, len(ids)
    request.sample1, request.sample2 = a, b
    for i, metric in enumerate(ids):
        request.metrics[i].metricId = metric
    n.nvmlGpmMetricsGet(request)
    return [[m.metricId, m.nvmlReturn, m.value] for m in request.metrics[:len(ids)]]
"""


def test_gpm(tmp_path: Path) -> None:
    """Two distinct, filled samples far enough apart give metrics, each with a return code."""
    driver = StubDriver(tmp_path)
    driver.gpm_min_interval_ms = 20
    driver.write()
    answers = ask(
        driver,
        _GPM
        + """
tell(lambda: n.nvmlGpmQueryDeviceSupport(h).isSupportedDevice)
a = sample()
time.sleep(0.03)
b = sample()
tell(lambda: metrics(a, b))
tell(lambda: metrics(b, sample()))
tell(lambda: metrics(b, a))
tell(lambda: metrics(a, a))
tell(lambda: metrics(a, n.nvmlGpmSampleAlloc()))
tell(lambda: metrics(a, b, version=2))
tell(lambda: n.nvmlGpmSampleFree(a))
""",
    )
    assert answers == [
        1,
        [[2, 0, 40.0], [5, 0, 20.0], [99, 3, 0.0]],
        [[2, 21, 0.0], [5, 21, 0.0], [99, 21, 0.0]],
        {"error": 2},
        {"error": 2},
        {"error": 2},
        {"error": 25},
        None,
    ]


def test_gpm_support_word_is_checked(tmp_path: Path) -> None:
    """The support query refuses a wrong version word and says no for an older GPU."""
    driver = StubDriver(tmp_path)
    driver.gpu(0).gpm_supported = 0
    driver.write()
    answers = ask(
        driver,
        _GPM
        + """
tell(lambda: n.nvmlGpmQueryDeviceSupport(h).isSupportedDevice)
tell(lambda: metrics(sample(), sample()))
n.NVML_GPM_SUPPORT_VERSION = 2
tell(lambda: n.nvmlGpmQueryDeviceSupport(h).isSupportedDevice)
""",
    )
    assert answers == [0, {"error": 3}, {"error": 25}]


def test_mig(tmp_path: Path) -> None:
    """MIG instances have handles, memory, processes and GPM of their own, and lack the rest."""
    driver = StubDriver(tmp_path)
    gpu = driver.gpu(0)
    gpu.mig_mode, gpu.mig_max = 1, 7
    gpu.migs = [mig_instance(0, 1, gpu_instance=9)]
    gpu.migs[0].processes = [Process(pid=5, gpu_instance=9, compute_instance=0)]
    gpu.samples[0] = [(1, 1)]
    driver.write()
    answers = ask(
        driver,
        _GPM
        + """
tell(lambda: n.nvmlDeviceGetMigMode(h))
tell(lambda: n.nvmlDeviceGetMaxMigDeviceCount(h))
tell(lambda: n.nvmlDeviceGetMigDeviceHandleByIndex(h, 0))
m = n.nvmlDeviceGetMigDeviceHandleByIndex(h, 1)
tell(lambda: n.nvmlDeviceGetUUID(m))
tell(lambda: n.nvmlDeviceGetUUID(n.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(m)))
tell(lambda: [n.nvmlDeviceGetGpuInstanceId(m), n.nvmlDeviceGetComputeInstanceId(m)])
tell(lambda: n.nvmlDeviceGetMemoryInfo(m, version=n.nvmlMemory_v2).used)
tell(lambda: n.nvmlDeviceGetAttributes(m).multiprocessorCount)
tell(lambda: n.nvmlDeviceIsMigDeviceHandle(m).value)
tell(lambda: [p.gpuInstanceId for p in n.nvmlDeviceGetComputeRunningProcesses_v3(m)])
tell(lambda: metrics(sample(instance=9), sample(instance=9), ids=(2,)))
tell(lambda: metrics(sample(m), sample(m), ids=(2,)))
tell(lambda: sample(instance=3))
for device in (m, h):
    tell(lambda: n.nvmlDeviceGetUtilizationRates(device))
    tell(lambda: n.nvmlDeviceGetSamples(device, n.NVML_GPU_UTILIZATION_SAMPLES, 0))
    tell(lambda: n.nvmlDeviceGetProcessUtilization(device, 0))
tell(lambda: len(n.nvmlDeviceGetSamples(h, n.NVML_TOTAL_POWER_SAMPLES, 0)[1]))
tell(lambda: n.nvmlDeviceGetAttributes(h))
tell(lambda: n.nvmlDeviceGetPciInfo(m))
""",
    )
    assert answers == [
        [1, 1],
        7,
        {"error": 6},
        gpu.migs[0].uuid,
        gpu.uuid,
        [9, 0],
        2 * GIB,
        16,
        1,
        [9],
        [[2, 0, 11.0]],
        [[2, 0, 11.0]],
        {"error": 6},
        *[{"error": 3}] * 6,
        1,
        {"error": 3},
        {"error": 3},
    ]
