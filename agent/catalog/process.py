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
PROCESSES = gauge(
    "engine_processes",
    "Processes of an engine that play one role; 0 when a role that was there has none left.",
    *LABELS,
    source="/proc",
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
