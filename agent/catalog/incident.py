"""What befalls an engine: deaths and their causes, failed requests, recorded incidents."""

from agent.catalog.declare import counter, gauge
from agent.catalog.engine import INSTANCE
from agent.model import History

_DEATH = (*INSTANCE, "cause")

DEATHS = counter(
    "engine_deaths",
    "Times that the engine died, hung or failed to start, by cause: oom_kill, gpu_error, cuda_oom, "
    "engine_error, crashed, killed, stopped, preemption_storm, hung, start_failed or unknown.",
    *_DEATH,
    source="analysis",
)
LAST_DEATH = gauge(
    "engine_last_death_timestamp_seconds",
    "Unix time since which the engine did not serve when it last died, hung or failed to start of "
    "this cause; a first one is seen here without a rate.",
    *_DEATH,
    source="analysis",
)
LAST_DEATH_REQUESTS = gauge(
    "engine_last_death_requests",
    "Requests that the engine's last good page before that showed running or waiting; 0 where it "
    "never answered.",
    *_DEATH,
    source="analysis",
)
SILENT = gauge(
    "engine_silent_seconds",
    "Seconds since the engine's page was last read; absent while it is, and before it ever was.",
    *INSTANCE,
    source="analysis",
)
LOADING = gauge(
    "engine_loading_seconds",
    "Seconds since the engine's server process began, while that has not answered yet; absent once "
    "it has, and where the process of an engine that does not answer is as old as its last answer.",
    *INSTANCE,
    source="analysis",
)
STARTUP = gauge(
    "engine_startup_seconds",
    "Seconds from the beginning of the engine's server process to its first answer, of the last "
    "start that was seen.",
    *INSTANCE,
    source="analysis",
)
ERROR_SHARE = gauge(
    "engine_error_share_ratio",
    "Share of the requests of the last two minutes that failed: answered with 5xx, ended in an "
    "error, in the engine when it went, or sent while it could not be reached, as many a second as "
    "before. From 0 to 1; absent where nobody asked or the engine counts no answers.",
    *INSTANCE,
    source="analysis",
)
CGROUP_OOM_KILLS = counter(
    "engine_cgroup_oom_kills",
    "Processes that the kernel killed for lack of memory in the cgroup of the engine's server.",
    *INSTANCE,
    source="memory.events of the cgroup",
)
INCIDENTS = counter(
    "incidents",
    "Incidents that were recorded since the agent started, by what came first: engine_died, "
    "engine_hung, xid, oom_kill, oom_near or alert.",
    "trigger",
    source="incident recorder",
)
LAST_INCIDENT = gauge(
    "incident_last_timestamp_seconds",
    "Unix time at which the last incident began to be recorded; absent before the first.",
    source="incident recorder",
)
INCIDENT_FAILURES = counter(
    "incident_write_failures",
    "Incidents of which a part could not be written, since the agent started.",
    source="incident recorder",
)
INCIDENTS_SIZE = gauge(
    "incidents_size_bytes",
    "Bytes of the recorded incidents on disk; absent before the first of this run.",
    source="incident recorder",
    history=History.FIVE_MINUTES,
)
