"""The driver's library: the only file that imports pynvml.

Calls that are made every tick keep their structures and skip pynvml's wrappers: asking for three
field values through pynvml costs more than reading the rest of a GPU. What a call filled is taken
out of its bytes at once, not field by field. Every function raises `NvmlError`, whose `value` is
the return code (`codes`).
"""

import ctypes
import struct
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
NOT_FOUND = nvml.NVML_ERROR_NOT_FOUND

init = nvml.nvmlInit
shutdown = nvml.nvmlShutdown
driver_version = nvml.nvmlSystemGetDriverVersion
cuda_version = nvml.nvmlSystemGetCudaDriverVersion_v2
by_index = nvml.nvmlDeviceGetHandleByIndex
uuid = nvml.nvmlDeviceGetUUID
name = nvml.nvmlDeviceGetName
serial = nvml.nvmlDeviceGetSerial
mig_mode = nvml.nvmlDeviceGetMigMode
mig_max = nvml.nvmlDeviceGetMaxMigDeviceCount
mig_by_index = nvml.nvmlDeviceGetMigDeviceHandleByIndex
gpu_instance = nvml.nvmlDeviceGetGpuInstanceId
compute_instance = nvml.nvmlDeviceGetComputeInstanceId
power_limit = nvml.nvmlDeviceGetEnforcedPowerLimit
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


def memory_v1(handle: Handle) -> tuple[int, int, int]:
    """Return used (with what is reserved), free, total in bytes."""
    info = nvml.nvmlDeviceGetMemoryInfo(handle)
    return info.used, info.free, info.total


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


def _filled(symbol: str, *given: object) -> Callable[[], None]:
    """Return a call of the library that fills what it is given; both are kept.

    The first call looks the function up: what the library lacks is an error of the call.
    """
    function: Callable[..., int] | None = None

    def call() -> None:
        nonlocal function
        if function is None:
            function = _function(symbol)
        code = function(*given)
        if code:
            raise NvmlError(code)

    return call


def _number(symbol: str, kind: "Any", *given: object) -> Callable[[], int]:
    """Return a call that gives one number, of a C type."""
    number = kind()
    fill = _filled(symbol, *given, ctypes.byref(number))

    def read() -> int:
        fill()
        value: int = number.value
        return value

    return read


def power(handle: Handle) -> Callable[[], int]:
    """Return a call that gives the power in mW."""
    return _number("nvmlDeviceGetPowerUsage", ctypes.c_uint, handle)


def energy(handle: Handle) -> Callable[[], int]:
    """Return a call that gives the energy since the driver was loaded, in mJ."""
    return _number("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_uint64, handle)


def sm_clock(handle: Handle) -> Callable[[], int]:
    """Return a call that gives the SM clock in MHz."""
    which = ctypes.c_uint(nvml.NVML_CLOCK_SM)
    return _number("nvmlDeviceGetClockInfo", ctypes.c_uint, handle, which)


def memory_clock(handle: Handle) -> Callable[[], int]:
    """Return a call that gives the memory clock in MHz."""
    which = ctypes.c_uint(nvml.NVML_CLOCK_MEM)
    return _number("nvmlDeviceGetClockInfo", ctypes.c_uint, handle, which)


def event_reasons(handle: Handle) -> Callable[[], int]:
    """Return a call that gives what holds the clocks down, a bit each."""
    return _number("nvmlDeviceGetCurrentClocksEventReasons", ctypes.c_ulonglong, handle)


def throttle_reasons(handle: Handle) -> Callable[[], int]:
    """Return a call that gives the same of older drivers."""
    return _number("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong, handle)


def utilization(handle: Handle) -> Callable[[], tuple[int, int]]:
    """Return a call that gives how busy the GPU and its memory are, in percent."""
    rates = nvml.c_nvmlUtilization_t()
    fill = _filled("nvmlDeviceGetUtilizationRates", handle, ctypes.byref(rates))

    def read() -> tuple[int, int]:
        fill()
        return rates.gpu, rates.memory

    return read


def memory_v2(handle: Handle) -> Callable[[], tuple[int, int, int, int]]:
    """Return a call that gives used, free, reserved, total in bytes."""
    info = nvml.c_nvmlMemory_v2_t()
    info.version = nvml.nvmlMemory_v2
    fill = _filled("nvmlDeviceGetMemoryInfo_v2", handle, ctypes.byref(info))

    def read() -> tuple[int, int, int, int]:
        fill()
        return info.used, info.free, info.reserved, info.total

    return read


count = _number("nvmlDeviceGetCount_v2", ctypes.c_uint)
"""Return how many GPUs there are."""

_VALUES = ("d", "I", "L", "Q", "q", "i", "H")
"""Format of the member of `nvmlValue_t` that counts, by `nvmlValueType_t`."""


class FieldValues:
    """Field values of one device, asked for together in an array that is kept."""

    def __init__(self, handle: Handle, ids: Sequence[int]) -> None:
        self.ids = tuple(ids)
        self._function = _function("nvmlDeviceGetFieldValues")
        self._array = (nvml.c_nvmlFieldValue_t * len(ids))()
        for entry, field_id in zip(self._array, ids, strict=True):
            entry.fieldId = field_id
        self._given = (handle, len(ids), ctypes.byref(self._array))
        # Of each: 24 bytes of ids and times, the type of the value, its code, the value.
        self._heads = struct.Struct("24xII8x" * len(ids))
        self._types: Sequence[int] = ()
        self._values = struct.Struct("")

    def read(self) -> tuple[Sequence[int], Sequence[float]]:
        """Return code and value of each field; the value means something where the code is 0."""
        code = self._function(*self._given)
        if code:
            raise NvmlError(code)
        heads = self._heads.unpack_from(self._array)
        types = heads[::2]
        if types != self._types:
            self._types = types
            self._values = struct.Struct("".join(map(_value, types)))
        return heads[1::2], self._values.unpack_from(self._array)


def _value(kind: int) -> str:
    """Return the format of a field value of which the value alone is wanted."""
    form = _VALUES[kind] if kind < len(_VALUES) else "Q"
    return f"32x{form}{8 - struct.calcsize(form)}x"


class SampleRing:
    """The driver's ring of samples of one kind, drained from where the last look ended."""

    SIZE = 512

    def __init__(self, handle: Handle, kind: int) -> None:
        self._function = _function("nvmlDeviceGetSamples")
        self._samples = (nvml.c_nvmlSample_t * self.SIZE)()
        self._count = ctypes.c_uint()
        self._value_type = ctypes.c_uint()
        self._seen = ctypes.c_ulonglong()
        self._given = (
            handle,
            kind,
            self._seen,
            ctypes.byref(self._value_type),
            ctypes.byref(self._count),
            self._samples,
        )
        # A time of eight bytes and a value of as many, of which the first four count.
        self._times = memoryview(self._samples).cast("B").cast("Q")[::2]
        self._values = memoryview(self._samples).cast("B").cast("I")[2::4]

    def read(self) -> list[int]:
        """Return the samples taken since the last call; the first call only finds the end."""
        self._count.value = self.SIZE
        code = self._function(*self._given)
        if code == NOT_FOUND:
            return []
        if code:
            raise NvmlError(code)
        count = min(self._count.value, self.SIZE)
        fresh = self._values[:count].tolist() if self._seen.value else []
        if count:
            self._seen.value = max(self._times[:count])
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
        self._function = _function("nvmlGpmMetricsGet")
        self._older, self._newer = (
            (_taking(handle, sample, instance), sample)
            for sample in (nvml.nvmlGpmSampleAlloc(), nvml.nvmlGpmSampleAlloc())
        )
        self._request = nvml.c_nvmlGpmMetricsGet_t()
        self._request.version = nvml.NVML_GPM_METRICS_GET_VERSION
        self._request.numMetrics = len(ids)
        for entry, metric_id in zip(self._request.metrics[: len(ids)], ids, strict=True):
            entry.metricId = metric_id
        self._reference = ctypes.byref(self._request)
        # Behind the head, of each: its id, its code, the value, and 24 bytes of names.
        begin = nvml.c_nvmlGpmMetricsGet_t.metrics.offset
        self._metrics = struct.Struct(f"{begin}x" + "4xId24x" * len(ids))

    @staticmethod
    def is_supported(handle: Handle) -> bool:
        """Return whether the device has GPM (Hopper and later do)."""
        return bool(nvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice)

    def take(self) -> None:
        """Take a sample; the one before becomes the older."""
        self._older[0]()
        self._older, self._newer = self._newer, self._older

    def metrics(self) -> tuple[Sequence[int], Sequence[float]]:
        """Return code and value of each metric between the two newest samples."""
        request = self._request
        request.sample1, request.sample2 = self._older[1], self._newer[1]
        code = self._function(self._reference)
        if code:
            raise NvmlError(code)
        found = self._metrics.unpack_from(request)
        return found[::2], found[1::2]

    def free(self) -> None:
        """Give the samples back."""
        for _take, sample in (self._older, self._newer):
            nvml.nvmlGpmSampleFree(sample)


def _taking(handle: Handle, sample: object, instance: int | None) -> Callable[[], None]:
    """Return a call that takes a GPM sample of a GPU, or of an instance of it."""
    if instance is None:
        return _filled("nvmlGpmSampleGet", handle, sample)
    return _filled("nvmlGpmMigSampleGet", handle, instance, sample)
