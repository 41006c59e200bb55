"""The machine that serves: CPU, memory, pressure, filesystems, network, clock, and the agent.

Sizes are bytes, times are seconds, shares are for whoever asks: a rate of `cpu_seconds` by mode
over a rate of all modes is the utilisation. What this host does not have is absent.
"""

from agent.catalog.declare import counter, gauge
from agent.model import History

_PROC = "/proc"

CPU_SECONDS = counter(
    "host_cpu_seconds",
    "Time that all logical CPUs together spent in a mode.",
    "mode",
    source=f"{_PROC}/stat",
)
CPUS = gauge(
    "host_cpus",
    "Logical CPUs that are online.",
    source="/sys/devices/system/cpu/online",
    history=History.FIVE_MINUTES,
)
LOAD1 = gauge(
    "host_load1",
    "Tasks running or in uninterruptible sleep, averaged by the kernel over one minute.",
    source=f"{_PROC}/loadavg",
)
BOOT_TIME = gauge(
    "host_boot_time_seconds",
    "Unix time at which the kernel started.",
    source=f"{_PROC}/stat through psutil",
    history=History.FIVE_MINUTES,
)
MEMORY_TOTAL = gauge(
    "host_memory_total_bytes",
    "Main memory that the kernel manages.",
    source=f"{_PROC}/meminfo",
    history=History.FIVE_MINUTES,
)
MEMORY_AVAILABLE = gauge(
    "host_memory_available_bytes",
    "Main memory that programs could still take without swapping, as the kernel estimates it.",
    source=f"{_PROC}/meminfo",
    peaks=True,
)
SWAP_TOTAL = gauge(
    "host_swap_total_bytes",
    "Size of the swap space; absent where there is none.",
    source=f"{_PROC}/meminfo",
    history=History.FIVE_MINUTES,
)
SWAP_USED = gauge(
    "host_swap_used_bytes",
    "Swap space in use; absent where there is none.",
    source=f"{_PROC}/meminfo",
)
SWAP_IN = counter(
    "host_swap_in_bytes",
    "Memory read back from swap space.",
    source=f"{_PROC}/vmstat",
)
SWAP_OUT = counter(
    "host_swap_out_bytes",
    "Memory written out to swap space.",
    source=f"{_PROC}/vmstat",
)
OOM_KILLS = counter(
    "host_oom_kills",
    "Processes that the kernel killed because memory ran out, of the host or of a cgroup.",
    source=f"{_PROC}/vmstat",
)
PRESSURE_SECONDS = counter(
    "host_pressure_seconds",
    "Time in which some, or all, runnable tasks waited for a resource.",
    "resource",
    "kind",
    source=f"{_PROC}/pressure",
)
FILESYSTEM_SIZE = gauge(
    "host_filesystem_size_bytes",
    "Size of the filesystem that holds a configured folder.",
    "path",
    source="statvfs through psutil, every 10 s",
    history=History.FIVE_MINUTES,
)
FILESYSTEM_AVAILABLE = gauge(
    "host_filesystem_available_bytes",
    "Space that programs without privileges can still fill.",
    "path",
    source="statvfs through psutil, every 10 s",
)
FILESYSTEM_HUNG = gauge(
    "host_filesystem_hung",
    "1 while a filesystem leaves a question about its space unanswered for 10 s or longer, else 0.",
    "path",
    source="statvfs through psutil, every 10 s",
)
NETWORK_RECEIVE = counter(
    "host_network_receive_bytes",
    "Bytes received on a physical interface.",
    "interface",
    source=f"{_PROC}/net/dev",
)
NETWORK_TRANSMIT = counter(
    "host_network_transmit_bytes",
    "Bytes sent on a physical interface.",
    "interface",
    source=f"{_PROC}/net/dev",
)
CLOCK_OFFSET = gauge(
    "host_clock_offset_seconds",
    "Correction that the kernel is still applying to the system clock.",
    source="adjtimex",
)
CLOCK_ESTIMATED_ERROR = gauge(
    "host_clock_estimated_error_seconds",
    "Error of the system clock as its time daemon estimates it.",
    source="adjtimex",
)
CLOCK_SYNCHRONISED = gauge(
    "host_clock_synchronised",
    "1 while the kernel holds its clock synchronised by a time daemon, else 0.",
    source="adjtimex",
)
AGENT_CPU_SECONDS = counter(
    "agent_cpu_seconds",
    "CPU time of the agent and of the processes it started.",
    source="getrusage and /proc/PID/stat",
)
AGENT_RESIDENT_MEMORY = gauge(
    "agent_resident_memory_bytes",
    "Resident memory of the agent and of the processes it started; shared pages count in each.",
    source="/proc/PID/stat",
)
AGENT_PROCESSES = gauge(
    "agent_processes",
    "Processes of the agent, those it started included.",
    source="/proc",
)
AGENT_THREADS = gauge(
    "agent_threads",
    "Threads of the agent and of the processes it started.",
    source="/proc/PID/stat",
)
AGENT_OPEN_FDS = gauge(
    "agent_open_fds",
    "File descriptors that the daemon itself holds open.",
    source="/proc/PID/fd",
)
