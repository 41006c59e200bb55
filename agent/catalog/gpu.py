"""What the driver says of the GPUs. What a GPU does not support has no such series."""

from agent.catalog.declare import counter, gauge, info
from agent.model import History, Metric

# `uuid` is the identity. `gpu` is the index at which the agent first saw that uuid, so that series
# go on when GPUs are renumbered. `mig` is empty for a whole GPU and `GPU instance/compute instance`
# for a MIG instance, whose `gpu` is that of its parent.
LABELS = ("gpu", "uuid", "mig")
FAST = "NVML"
SLOW = "NVML, every 5 s"
GPM = "NVML GPM (Hopper and later)"

GPUS = gauge("gpus", "GPUs that the driver shows and that answer.", source=FAST)
DRIVER_MISMATCH = gauge(
    "gpu_driver_mismatch",
    "1 while the driver's library and the loaded kernel module are of different versions (NVML "
    "error 18), 0 while they work together; absent while neither is known.",
    source=FAST,
)
INFO = info(
    "gpu",
    "What the GPU is. `memory_kind` is `unified` where it shares the host's memory.",
    *LABELS,
    "name",
    "serial",
    "pci_bus_id",
    "driver_version",
    "cuda_version",
    "mig_mode",
    "memory_kind",
    source="NVML, when devices are listed",
)
UP = gauge(
    "gpu_up",
    "1 while the GPU answers; 0 when it is lost, waits for a reset or is no longer listed.",
    *LABELS,
    source=FAST,
)
INDEX = gauge(
    "gpu_index",
    "Index at which the driver lists the GPU now. The label `gpu` is the index at which it was "
    "first seen since the agent started, and stays.",
    "gpu",
    "uuid",
    source="NVML, when devices are listed",
    history=History.FIVE_MINUTES,
)
MEMORY_USED = gauge(
    "gpu_memory_used_bytes",
    "Device memory in use; before driver 510 with what the driver reserves.",
    *LABELS,
    source=FAST,
    peaks=True,
)
MEMORY_FREE = gauge("gpu_memory_free_bytes", "Device memory free.", *LABELS, source=FAST)
MEMORY_RESERVED = gauge(
    "gpu_memory_reserved_bytes",
    "Device memory that the driver keeps for itself; used + free + reserved = total.",
    *LABELS,
    source=FAST,
)
MEMORY_TOTAL = gauge("gpu_memory_total_bytes", "Device memory.", *LABELS, source=FAST)
UTILIZATION = gauge(
    "gpu_utilization_ratio",
    "Share of the driver's last sampling period in which any kernel ran, from 0 to 1.",
    *LABELS,
    source=FAST,
)
MEMORY_UTILIZATION = gauge(
    "gpu_memory_utilization_ratio",
    "Share of that period in which device memory was read or written, from 0 to 1.",
    *LABELS,
    source=FAST,
)
POWER = gauge("gpu_power_watts", "Power drawn.", *LABELS, source=FAST, peaks=True)
POWER_PEAK = gauge(
    "gpu_power_peak_watts",
    "Highest power since the look before, from the driver's own ring of samples.",
    *LABELS,
    source="NVML samples",
)
ENERGY = counter(
    "gpu_energy_joules", "Energy used since the driver was loaded.", *LABELS, source=FAST
)
SM_CLOCK = gauge("gpu_sm_clock_hertz", "Clock of the SMs.", *LABELS, source=FAST)
MEMORY_CLOCK = gauge("gpu_memory_clock_hertz", "Clock of the memory.", *LABELS, source=FAST)
CLOCKS_EVENT_REASON = gauge(
    "gpu_clocks_event_reason",
    "1 for each reason that clocks are held below their highest, else 0.",
    *LABELS,
    "reason",
    source=FAST,
)
PCIE_TRANSMIT = counter(
    "gpu_pcie_transmit_bytes", "Bytes that the GPU sent over PCIe.", *LABELS, source=FAST
)
PCIE_RECEIVE = counter(
    "gpu_pcie_receive_bytes", "Bytes that the GPU received over PCIe.", *LABELS, source=FAST
)
GRAPHICS_ACTIVITY = gauge(
    "gpu_graphics_activity_ratio",
    "Share of cycles in which the graphics or compute engine was busy, from 0 to 1.",
    *LABELS,
    source=GPM,
)
SM_ACTIVITY = gauge(
    "gpu_sm_activity_ratio",
    "Share of cycles, over all SMs, with work on the SM, from 0 to 1.",
    *LABELS,
    source=GPM,
)
SM_OCCUPANCY = gauge(
    "gpu_sm_occupancy_ratio",
    "Warps on the SMs against the most there can be, from 0 to 1.",
    *LABELS,
    source=GPM,
)
TENSOR_ACTIVITY = gauge(
    "gpu_tensor_activity_ratio",
    "Share of cycles in which tensor cores were busy, from 0 to 1.",
    *LABELS,
    source=GPM,
)
DRAM_ACTIVITY = gauge(
    "gpu_dram_activity_ratio",
    "Memory bandwidth used against the most there can be, from 0 to 1.",
    *LABELS,
    source=GPM,
)
NVLINK_RECEIVE = gauge(
    "gpu_nvlink_receive_bytes_per_second",
    "Bytes a second that came in over all NVLinks.",
    *LABELS,
    source=GPM,
)
NVLINK_TRANSMIT = gauge(
    "gpu_nvlink_transmit_bytes_per_second",
    "Bytes a second that went out over all NVLinks.",
    *LABELS,
    source=GPM,
)
POWER_LIMIT = gauge("gpu_power_limit_watts", "Power limit that is enforced.", *LABELS, source=SLOW)
TEMPERATURE = gauge("gpu_temperature_celsius", "Temperature.", *LABELS, source=SLOW)
MEMORY_TEMPERATURE = gauge(
    "gpu_memory_temperature_celsius", "Temperature of the memory.", *LABELS, source=SLOW
)
SM_CLOCK_MAX = gauge(
    "gpu_sm_clock_limit_hertz",
    "Highest clock of the SMs.",
    *LABELS,
    source=SLOW,
    history=History.FIVE_MINUTES,
)
MEMORY_CLOCK_MAX = gauge(
    "gpu_memory_clock_limit_hertz",
    "Highest clock of the memory.",
    *LABELS,
    source=SLOW,
    history=History.FIVE_MINUTES,
)
PCIE_GENERATION = gauge(
    "gpu_pcie_link_generation", "PCIe generation of the link now.", *LABELS, source=SLOW
)
PCIE_WIDTH = gauge("gpu_pcie_link_lanes", "PCIe lanes of the link now.", *LABELS, source=SLOW)
PCIE_GENERATION_LIMIT = gauge(
    "gpu_pcie_link_generation_limit",
    "Highest PCIe generation of this GPU in this slot.",
    *LABELS,
    source=SLOW,
    history=History.FIVE_MINUTES,
)
PCIE_WIDTH_LIMIT = gauge(
    "gpu_pcie_link_lanes_limit",
    "Most PCIe lanes of this GPU in this slot.",
    *LABELS,
    source=SLOW,
    history=History.FIVE_MINUTES,
)
ECC_ERRORS = counter(
    "gpu_ecc_errors",
    "ECC errors; `volatile` since the driver was loaded, `aggregate` over the GPU's life.",
    *LABELS,
    "error",
    "counter",
    source=SLOW,
)
REMAPPED_ROWS = gauge(
    "gpu_remapped_rows",
    "Memory rows replaced by spares, by the kind of error that caused it.",
    *LABELS,
    "error",
    source=SLOW,
)
REMAPPED_PENDING = gauge(
    "gpu_remapped_rows_pending",
    "1 while a row waits for the next reset to be replaced.",
    *LABELS,
    source=SLOW,
)
REMAPPED_FAILED = gauge(
    "gpu_remapped_rows_failed",
    "1 when replacing a row failed: the GPU should be exchanged.",
    *LABELS,
    source=SLOW,
)
RECOVERY_ACTION = gauge(
    "gpu_recovery_action",
    "What the driver wants done, by NVML's number: 0 nothing, 1 GPU reset, 2 reboot, 3 drain "
    "peer-to-peer, 4 drain and reset, and others of newer drivers.",
    *LABELS,
    source=SLOW,
)
THROTTLED = counter(
    "gpu_throttled_seconds",
    "Time that clocks were held down, by reason.",
    *LABELS,
    "reason",
    source=SLOW,
)
PROCESS_MEMORY = gauge(
    "gpu_process_memory_used_bytes",
    "Device memory of a compute process; managed memory does not count.",
    *LABELS,
    "pid",
    "process",
    source="NVML, every collectors.nvml.process_interval",
    history=History.FIVE_MINUTES,
)

_PREFIX = "inferwatch_gpu_"
BY_COLUMN: dict[str, Metric] = {
    metric.name.removeprefix(_PREFIX): metric
    for metric in list(globals().values())
    if isinstance(metric, Metric) and metric.labels[:3] == LABELS
}
"""Metric by its name without `inferwatch_gpu_`."""
