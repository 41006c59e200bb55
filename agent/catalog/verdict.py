"""What holds an engine back, in one word at a time."""

from enum import StrEnum

from agent.catalog.declare import gauge
from agent.catalog.engine import LABELS

_ANALYSIS = "analysis"


class Cause(StrEnum):
    """What an engine is limited by now; values of the label `cause`."""

    IDLE = "idle"
    HEALTHY = "healthy"
    SEQUENCE_LIMIT = "sequence_limit"
    KV_MEMORY = "kv_memory"
    PREFILL_COMPUTE = "prefill_compute"
    DECODE_BANDWIDTH = "decode_bandwidth"
    TOKEN_BUDGET = "token_budget"  # noqa: S105 - of an iteration, no secret
    HOST_CPU = "host_cpu"
    POWER_THERMAL = "power_thermal"
    CO_TENANT = "co_tenant"
    STALLED = "stalled"
    UNKNOWN = "unknown"


VERDICT = gauge(
    "engine_verdict",
    "1 for what holds the engine back now, else 0: idle, healthy, sequence_limit, kv_memory, "
    "prefill_compute, decode_bandwidth, token_budget, host_cpu, power_thermal, co_tenant, stalled, "
    "unknown.",
    *LABELS,
    "cause",
    source=_ANALYSIS,
)
VERDICT_SINCE = gauge(
    "engine_verdict_since_timestamp_seconds",
    "Unix time since which that has been so.",
    *LABELS,
    source=_ANALYSIS,
)
