"""How long it takes until something runs out; absent where nothing is foreseen.

`bound` is `low`, `estimate` or `high`: it lies between low and high with 90 %, half of the time
before the estimate. 0 means that it is so now.
"""

from agent.catalog.declare import gauge
from agent.catalog.engine import INSTANCE, LABELS
from agent.catalog.gpu import LABELS as GPU_LABELS

_ANALYSIS = "analysis"

KV_EXHAUSTION = gauge(
    "engine_kv_exhaustion_forecast_seconds",
    "Seconds until the KV cache has no room for the next prompt; 0 while it has none; absent where "
    "that is not foreseen within 15 minutes.",
    *LABELS,
    "bound",
    source=_ANALYSIS,
)
KV_EXHAUSTION_PROBABILITY = gauge(
    "engine_kv_exhaustion_probability_ratio",
    "Share of the foreseen courses in which the KV cache has no room for the next prompt within 5 "
    "minutes, less for what earlier ones claimed in vain; 1 while it has none; absent where too "
    "little is known.",
    *LABELS,
    source=_ANALYSIS,
)
PREEMPTION = gauge(
    "engine_preemption_forecast_seconds",
    "Seconds until the next request is thrown out of the batch for want of KV cache; 0 while "
    "requests are; absent where that is not foreseen within 15 minutes.",
    *LABELS,
    "bound",
    source=_ANALYSIS,
)
KV_EXPECTED = gauge(
    "engine_kv_cache_expected_ratio",
    "Share of the KV cache that the present load fills a few request lifetimes from now, as far as "
    "the cache allows; above 1 there is not enough of it.",
    *LABELS,
    source=_ANALYSIS,
)
GPU_MEMORY_EXHAUSTION = gauge(
    "gpu_memory_exhaustion_forecast_seconds",
    "Seconds until the GPU has no free memory, by growth that goes on; absent where none is "
    "foreseen within 24 hours.",
    *GPU_LABELS,
    "bound",
    source=_ANALYSIS,
)
HOST_MEMORY_EXHAUSTION = gauge(
    "host_memory_exhaustion_forecast_seconds",
    "Seconds until the host has no available memory, by growth that goes on; absent where none is "
    "foreseen within 24 hours.",
    "bound",
    source=_ANALYSIS,
)
CGROUP_MEMORY_EXHAUSTION = gauge(
    "engine_cgroup_memory_exhaustion_forecast_seconds",
    "Seconds until the engine's cgroup is at its memory limit with nothing to reclaim, by growth "
    "that goes on; absent where none is foreseen within 24 hours.",
    *INSTANCE,
    "bound",
    source=_ANALYSIS,
)
