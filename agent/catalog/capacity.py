"""How much load an engine can carry within its targets, what is asked of it, and what is left.

`bound` is `low`, `estimate` or `high`: with 90 % it lies between low and high. `phase` is `prompt`,
`generation` or `total`. What is not known is absent.
"""

from enum import StrEnum

from agent.catalog.declare import gauge
from agent.catalog.engine import LABELS
from agent.catalog.gpu import LABELS as GPU_LABELS

_ANALYSIS = "analysis"
_LAW = "analysis: the law of the engine's steps and its mix of requests"


class Source(StrEnum):
    """Where a capacity is known from; values of the label `source`."""

    LEARNED = "learned"
    DECLARED = "declared"


CAPACITY = gauge(
    "engine_capacity_tokens_per_minute",
    "Highest load of the present mix of requests at which the latency targets hold, in tokens a "
    "minute; a declared one, until one is learned, has the phase total alone.",
    *LABELS,
    "phase",
    "bound",
    source=_LAW,
)
CAPACITY_REQUESTS = gauge(
    "engine_capacity_requests_per_minute",
    "The same load in requests a minute.",
    *LABELS,
    "bound",
    source=_LAW,
)
STABILITY = gauge(
    "engine_stability_limit_tokens_per_minute",
    "Highest load of the present mix at which the queue does not grow without end, whatever the "
    "latencies, in tokens a minute.",
    *LABELS,
    "phase",
    "bound",
    source=_LAW,
)
STABILITY_REQUESTS = gauge(
    "engine_stability_limit_requests_per_minute",
    "The same load in requests a minute.",
    *LABELS,
    "bound",
    source=_LAW,
)
BINDING = gauge(
    "engine_capacity_binding",
    "1 for what keeps the capacity from being higher, else 0: inter_token, time_to_first_token, "
    "kv_memory, sequence_limit, token_budget, stability.",
    *LABELS,
    "limit",
    source=_LAW,
)
IDENTIFIABLE = gauge(
    "engine_capacity_identifiable",
    "1 where the load seen so far tells the capacity, else 0; /api/v1/capacity says why not.",
    *LABELS,
    source=_LAW,
)
SOURCE = gauge(
    "engine_capacity_source",
    "1 for where the capacity shown is known from, else 0: learned, declared (by the "
    "configuration); both 0 where none is shown.",
    *LABELS,
    "source",
    source=_LAW,
)
EVIDENCE = gauge(
    "engine_capacity_evidence_timestamp_seconds",
    "Unix time of the newest work that the capacity rests on.",
    *LABELS,
    source=_LAW,
)
BATCH = gauge(
    "engine_capacity_batch",
    "Requests in the batch, mean, at the capacity.",
    *LABELS,
    source=_LAW,
)
BATCH_SEEN = gauge(
    "engine_capacity_batch_seen",
    "Smallest (bound low) and largest (bound high) mean batch that the capacity rests on.",
    *LABELS,
    "bound",
    source=_LAW,
)
CONCURRENT = gauge(
    "engine_capacity_concurrent_requests",
    "Requests of the present shape that fit into the KV cache together.",
    *LABELS,
    source=_LAW,
)

# --- what is asked ---------------------------------------------------------------------------

DEMAND = gauge(
    "engine_demand_tokens_per_minute",
    "What arrived in the last minute, served or still waiting: prompt tokens, and the tokens that "
    "will be generated for them.",
    *LABELS,
    "phase",
    source=_ANALYSIS,
)
DEMAND_REQUESTS = gauge(
    "engine_demand_requests_per_minute",
    "Requests that arrived in the last minute, served or still waiting.",
    *LABELS,
    source=_ANALYSIS,
)
QUEUE = gauge(
    "engine_queue_tokens",
    "Tokens, prompt and generated, that the waiting requests will need.",
    *LABELS,
    source=_ANALYSIS,
)

# --- what is left ----------------------------------------------------------------------------

HEADROOM = gauge(
    "engine_headroom_tokens_per_minute",
    "Lower bound of the capacity less the demand; negative where more is asked than it surely "
    "carries.",
    *LABELS,
    source=_ANALYSIS,
)
HEADROOM_RATIO = gauge(
    "engine_headroom_ratio",
    "The same as a share of the lower bound of the capacity.",
    *LABELS,
    source=_ANALYSIS,
)
HEADROOM_REQUESTS = gauge(
    "engine_headroom_requests_per_minute",
    "The same in requests a minute.",
    *LABELS,
    source=_ANALYSIS,
)
MODEL_DEMAND = gauge(
    "model_demand_tokens_per_minute",
    "Demand on all replicas of a model on this host; absent where that of one is not known.",
    "model_name",
    source=_ANALYSIS,
)
MODEL_HEADROOM = gauge(
    "model_headroom_tokens_per_minute",
    "Headroom of all replicas of a model on this host; absent where that of one is not known.",
    "model_name",
    source=_ANALYSIS,
)
MODEL_HEADROOM_RATIO = gauge(
    "model_headroom_ratio",
    "The same as a share of the sum of the lower bounds of their capacities.",
    "model_name",
    source=_ANALYSIS,
)
GPU_DEMAND = gauge(
    "gpu_demand_tokens_per_minute",
    "Demand on the replicas of a GPU; one that runs on several counts in equal parts.",
    *GPU_LABELS,
    source=_ANALYSIS,
)
GPU_HEADROOM = gauge(
    "gpu_headroom_tokens_per_minute",
    "Headroom of the replicas of a GPU; one that runs on several counts in equal parts.",
    *GPU_LABELS,
    source=_ANALYSIS,
)
GPU_HEADROOM_RATIO = gauge(
    "gpu_headroom_ratio",
    "The same as a share of the sum of the lower bounds of their capacities.",
    *GPU_LABELS,
    source=_ANALYSIS,
)
HOST_DEMAND = gauge(
    "host_demand_tokens_per_minute",
    "Demand on all replicas of this host; absent where that of one is not known.",
    source=_ANALYSIS,
)
HOST_HEADROOM = gauge(
    "host_headroom_tokens_per_minute",
    "Headroom of all replicas of this host; absent where that of one is not known.",
    source=_ANALYSIS,
)
HOST_HEADROOM_RATIO = gauge(
    "host_headroom_ratio",
    "The same as a share of the sum of the lower bounds of their capacities.",
    source=_ANALYSIS,
)
