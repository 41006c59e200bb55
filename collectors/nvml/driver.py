"""The driver's library: the only file that imports pynvml.

Calls that are made every tick keep their structures and skip pynvml's wrappers: asking for three
field values through pynvml costs more than reading the rest of a GPU. Every function raises
`NvmlError`, whose `value` is the return code (`codes`).
"""

import ctypes
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

TYPE_CHECKING = False  # that of `typing` would cost the child the import of it
if TYPE_CHECKING:
    from typing import Any


def _imported() -> "Any":
    """Return pynvml, which has no annotations: what type checkers guess is wrong.

    On Windows it looks for its library with `ctypes.util`, which imports 28 modules to unpack
    archives and run programs: a sixth of this process. Here it gets by without.
    """
    absent = "ctypes.util" not in sys.modules
    if absent:
        stand_in = sys.modules["ctypes.util"] = ModuleType("ctypes.util")
        vars(stand_in)["find_library"] = None
    try:
        import pynvml

        return pynvml
    finally:
        if absent:
            del sys.modules["ctypes.util"]


nvml = _imported()

NvmlError: type[Exception] = nvml.NVMLError
Handle = object
"""A device as pynvml hands it out."""

POWER_SAMPLES = nvml.NVML_TOTAL_POWER_SAMPLES

init = nvml.nvmlInit
shutdown = nvml.nvmlShutdown
driver_version = nvml.nvmlSystemGetDriverVersion
cuda_version = nvml.nvmlSystemGetCudaDriverVersion_v2
count = nvml.nvmlDeviceGetCount
by_index = nvml.nvmlDeviceGetHandleByIndex
uuid = nvml.nvmlDeviceGetUUID
name = nvml.nvmlDeviceGetName
serial = nvml.nvmlDeviceGetSerial
mig_mode = nvml.nvmlDeviceGetMigMode
mig_max = nvml.nvmlDeviceGetMaxMigDeviceCount
mig_by_index = nvml.nvmlDeviceGetMigDeviceHandleByIndex
gpu_instance = nvml.nvmlDeviceGetGpuInstanceId
compute_instance = nvml.nvmlDeviceGetComputeInstanceId
utilization = nvml.nvmlDeviceGetUtilizationRates
power = nvml.nvmlDeviceGetPowerUsage
power_limit = nvml.nvmlDeviceGetEnforcedPowerLimit
energy = nvml.nvmlDeviceGetTotalEnergyConsumption
event_reasons = nvml.nvmlDeviceGetCurrentClocksEventReasons
throttle_reasons = nvml.nvmlDeviceGetCurrentClocksThrottleReasons
pcie_generation = nvml.nvmlDeviceGetCurrPcieLinkGeneration
pcie_width = nvml.nvmlDeviceGetCurrPcieLinkWidth
pcie_generation_max = nvml.nvmlDeviceGetMaxPcieLinkGeneration
pcie_width_max = nvml.nvmlDeviceGetMaxPcieLinkWidth
ecc_errors = nvml.nvmlDeviceGetTotalEccErrors
remapped_rows = nvml.nvmlDeviceGetRemappedRows
events_create = nvml.nvmlEventSetCreate
events_free = nvml.nvmlEventSetFree
events_supported = nvml.nvmlDeviceGetSupportedEventTypes
events_register = nvml.nvmlDeviceRegisterEvents
events_wait = nvml.nvmlEventSetWait_v2


def code_of(error: Exception) -> int:
    """Return the return code behind an `NvmlError`."""
    return int(getattr(error, "value", 999))


def memory_v2(handle: Handle) -> tuple[int, int, int, int]:
    """Return used, free, reserved, total in bytes."""
    info = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    return info.used, info.free, info.reserved, info.total


def memory_v1(handle: Handle) -> tuple[int, int, int]:
    """Return used (with what is reserved), free, total in bytes."""
    info = nvml.nvmlDeviceGetMemoryInfo(handle)
    return info.used, info.free, info.total


def sm_clock(handle: Handle) -> int:
    """Return the SM clock in MHz."""
    return int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))


def memory_clock(handle: Handle) -> int:
    """Return the memory clock in MHz."""
    return int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM))


def sm_clock_max(handle: Handle) -> int:
    """Return the highest SM clock in MHz."""
    return int(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM))


def memory_clock_max(handle: Handle) -> int:
    """Return the highest memory clock in MHz."""
    return int(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_MEM))


def temperature(handle: Handle) -> int:
    """Return the temperature of the GPU in degrees Celsius."""
    return int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))


def pci_bus_id(handle: Handle) -> str:
    """Return the PCI address as NVML writes it, `00000000:3B:00.0`."""
    bus_id = nvml.nvmlDeviceGetPciInfo(handle).busId
    return bus_id.decode("ascii", "replace") if isinstance(bus_id, bytes) else str(bus_id)


def processes(handle: Handle) -> list[tuple[int, int | None]]:
    """Return pid and bytes of each compute process; None where the driver cannot say."""
    try:
        found = nvml.nvmlDeviceGetComputeRunningProcesses_v3(handle)
    except nvml.NVMLError_FunctionNotFound:  # drivers before 510
        found = nvml.nvmlDeviceGetComputeRunningProcesses_v2(handle)
    return [(process.pid, process.usedGpuMemory) for process in found]


def _function(symbol: str) -> Callable[..., int]:
    """Return a function of the library as it is: arguments unchecked, the code returned."""
    found: Callable[..., int] = nvml._nvmlGetFunctionPointer(symbol)  # noqa: SLF001
    return found


_UNION_MEMBER = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Member of `nvmlValue_t` by `nvmlValueType_t`."""


class FieldValues:
    """Field values of one device, asked for together in an array that is kept."""

    def __init__(self, handle: Handle, ids: Sequence[int]) -> None:
        self.ids = tuple(ids)
        self._handle = handle
        self._function = _function("nvmlDeviceGetFieldValues")
        self._array = (nvml.c_nvmlFieldValue_t * len(ids))()
        for entry, field_id in zip(self._array, ids, strict=True):
            entry.fieldId = field_id
        self._entries = list(self._array)
        self._reference = ctypes.byref(self._array)

    def read(self) -> list[tuple[int, float]]:
        """Return code and value of each field; the value means something where the code is 0."""
        code = self._function(self._handle, len(self.ids), self._reference)
        if code:
            raise NvmlError(code)
        return [
            (entry.nvmlReturn, getattr(entry.value, _UNION_MEMBER[entry.valueType]))
            for entry in self._entries
        ]


class SampleRing:
    """The driver's ring of samples of one kind, drained from where the last look ended."""

    SIZE = 512

    def __init__(self, handle: Handle, kind: int) -> None:
        self._handle = handle
        self._kind = kind
        self._function = _function("nvmlDeviceGetSamples")
        self._samples = (nvml.c_nvmlSample_t * self.SIZE)()
        self._count = ctypes.c_uint()
        self._value_type = ctypes.c_uint()
        self._seen = 0

    def read(self) -> list[int]:
        """Return the samples taken since the last call; the first call only finds the end."""
        count = self._count
        count.value = self.SIZE
        code = self._function(
            self._handle,
            self._kind,
            ctypes.c_ulonglong(self._seen),
            ctypes.byref(self._value_type),
            ctypes.byref(count),
            self._samples,
        )
        if code:
            raise NvmlError(code)
        samples = self._samples[: min(count.value, self.SIZE)]
        fresh = [sample.sampleValue.uiVal for sample in samples] if self._seen else []
        if samples:
            self._seen = max(sample.timeStamp for sample in samples)
        return fresh


class Gpm:
    """GPM metrics of one device: rates between the two newest samples of its counters.

    Args:
        handle: the GPU.
        instance: a GPU instance of a GPU that is cut up by MIG.
        ids: `nvmlGpmMetricId_t`.
    """

    def __init__(self, handle: Handle, ids: Sequence[int], instance: int | None = None) -> None:
        self.ids = tuple(ids)
        self._handle = handle
        self._instance = instance
        self._function = _function("nvmlGpmMetricsGet")
        self._older = nvml.nvmlGpmSampleAlloc()
        self._newer = nvml.nvmlGpmSampleAlloc()
        self._request = nvml.c_nvmlGpmMetricsGet_t()
        self._request.version = nvml.NVML_GPM_METRICS_GET_VERSION
        self._request.numMetrics = len(ids)
        self._entries = list(self._request.metrics[: len(ids)])
        for entry, metric_id in zip(self._entries, ids, strict=True):
            entry.metricId = metric_id
        self._reference = ctypes.byref(self._request)

    @staticmethod
    def is_supported(handle: Handle) -> bool:
        """Return whether the device has GPM (Hopper and later do)."""
        return bool(nvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice)

    def take(self) -> None:
        """Take a sample; the one before becomes the older."""
        sample = self._older
        if self._instance is None:
            nvml.nvmlGpmSampleGet(self._handle, sample)
        else:
            nvml.nvmlGpmMigSampleGet(self._handle, self._instance, sample)
        self._older, self._newer = self._newer, sample

    def metrics(self) -> list[tuple[int, float]]:
        """Return code and value of each metric between the two newest samples."""
        self._request.sample1 = self._older
        self._request.sample2 = self._newer
        code = self._function(self._reference)
        if code:
            raise NvmlError(code)
        return [(entry.nvmlReturn, entry.value) for entry in self._entries]

    def free(self) -> None:
        """Give the samples back."""
        for sample in (self._older, self._newer):
            nvml.nvmlGpmSampleFree(sample)
