"""The processes of an engine, summed by the role that they play in it.

`process` is `server` (answers requests), `core` (schedules and steps), `worker` (drives a GPU)
or `other`. Labels therefore stay the same when a worker is replaced.
"""

from agent.catalog.declare import counter, gauge

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
