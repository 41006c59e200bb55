"""The processes of an engine, summed by the role that they play in it.

`process` is `server` (answers requests), `core` (schedules and steps), `worker` (drives a GPU)
or `other`. Labels therefore stay the same when a worker is replaced.
"""

from agent.catalog.declare import counter, gauge
from agent.catalog.engine import INSTANCE

LABELS = ("engine", "instance_name", "process")

CPU_SECONDS = counter(
    "engine_process_cpu_seconds",
    "CPU time of an engine's processes of one role, ended ones included; never falls.",
    *LABELS,
    source="/proc/PID/stat",
)
RESIDENT_MEMORY = gauge(
    "engine_process_resident_memory_bytes",
    "Resident memory of an engine's processes of one role; shared pages count in each.",
    *LABELS,
    source="/proc/PID/stat",
    peaks=True,
)
THREADS = gauge(
    "engine_process_threads",
    "Threads of an engine's processes of one role.",
    *LABELS,
    source="/proc/PID/stat",
)
OPEN_FDS = gauge(
    "engine_process_open_fds",
    "Open file descriptors of an engine's processes of one role, where they may be counted.",
    *LABELS,
    source="/proc/PID/fd, every 10 s",
)
CPU_WAIT = counter(
    "engine_process_cpu_wait_seconds",
    "Seconds in which the main thread of an engine's process was ready to run and had no CPU: "
    "others had it, or the quota of its control group was used up. Of the process of the role that "
    "waited longest from one look to the next, so at most 1 a second; absent where the kernel does "
    "not count it.",
    *LABELS,
    source="/proc/PID/schedstat",
)
PROCESSES = gauge(
    "engine_processes",
    "Processes of an engine that play one role; 0 when a role that was there has none left.",
    *LABELS,
    source="/proc",
)

SERVER_START = gauge(
    "engine_server_start_time_seconds",
    "Unix time at which the server process that runs on this host began, also while it does not "
    "answer yet.",
    *INSTANCE,
    source="/proc/PID/stat",
)

CGROUP_CPU_LIMIT = gauge(
    "engine_cgroup_cpu_limit_cores",
    "Cores that the quota of the engine's control group lets it keep busy: its own quota or the "
    "smallest above it; absent where there is none.",
    *INSTANCE,
    source="/sys/fs/cgroup/…/cpu.max",
)
CGROUP_CPU_PERIODS = counter(
    "engine_cgroup_cpu_periods",
    "Periods of that quota in which there was something to run.",
    *INSTANCE,
    source="/sys/fs/cgroup/…/cpu.stat",
)
CGROUP_CPU_THROTTLED_PERIODS = counter(
    "engine_cgroup_cpu_throttled_periods",
    "Of these periods, those in which the quota was used up and everything in the group stood "
    "still until the next.",
    *INSTANCE,
    source="/sys/fs/cgroup/…/cpu.stat",
)
CGROUP_CPU_THROTTLED = counter(
    "engine_cgroup_cpu_throttled_seconds",
    "Seconds for which the group stood still, added up over the CPUs on which it ran.",
    *INSTANCE,
    source="/sys/fs/cgroup/…/cpu.stat",
)

CGROUP_MEMORY_USED = gauge(
    "engine_cgroup_memory_used_bytes",
    "Memory of the control group that limits the engine's server: its own or the one above it that "
    "is nearest to its limit; absent where none has a limit.",
    *INSTANCE,
    source="/sys/fs/cgroup/…/memory.current",
)
CGROUP_MEMORY_LIMIT = gauge(
    "engine_cgroup_memory_limit_bytes",
    "Limit at which the kernel begins to kill in that control group.",
    *INSTANCE,
    source="/sys/fs/cgroup/…/memory.max",
)
CGROUP_MEMORY_RECLAIMABLE = gauge(
    "engine_cgroup_memory_reclaimable_bytes",
    "What the kernel takes back first of that memory: pages of files, and slabs.",
    *INSTANCE,
    source="/sys/fs/cgroup/…/memory.stat",
)
