"""Which engine runs on which GPU, what it holds there, and the KV cache in bytes."""

from agent.catalog.declare import gauge, info
from agent.catalog.engine import INSTANCE, LABELS
from agent.catalog.gpu import LABELS as GPU_LABELS
from agent.model import History

PROCESS_INFO = info(
    "engine_process",
    "A process of an engine, as this host numbers it; `process` is its role, `rank` the "
    "data-parallel rank that its title names.",
    *INSTANCE,
    "process",
    "pid",
    "rank",
    source="/proc",
)
PINNED_INFO = info(
    "engine_gpu_pinned",
    "The configuration says that the engine runs on this GPU, given by index or identifier.",
    *INSTANCE,
    "device",
    source="configuration",
)
ENGINE_GPU = gauge(
    "engine_gpu",
    "1 for each GPU that an engine runs on. `evidence` is process where the driver lists one of "
    "its processes there, config where the configuration says so, which then counts alone.",
    *INSTANCE,
    *GPU_LABELS,
    "evidence",
    source="analysis",
    history=History.FIVE_MINUTES,
)
GPU_MEMORY = gauge(
    "engine_gpu_memory_bytes",
    "Memory of a GPU as an engine on it sees it. weights, kv_cache (what it reserved), other and "
    "growth (since it was ready; may be negative) are its own; other_tenants, unlisted (of no "
    "process that the driver lists), driver_reserved and free are the rest. `evidence` is measured "
    "or derived; what is unknown is absent.",
    *INSTANCE,
    *GPU_LABELS,
    "part",
    "evidence",
    source="analysis",
)
WEIGHTS_SIZE = gauge(
    "engine_weights_bytes",
    "Bytes of the model's weights over all GPUs of one replica, by the size of the files that the "
    "engine's command line names and the type in which they are served.",
    *INSTANCE,
    source="files of the model",
    history=History.FIVE_MINUTES,
)
KV_CACHE_TOKEN_SIZE = gauge(
    "engine_kv_cache_token_bytes",
    "Bytes that one token takes in the KV cache of one replica, over all of its GPUs.",
    *INSTANCE,
    source="the model's configuration and the command line",
    history=History.FIVE_MINUTES,
)
KV_CACHE_CAPACITY_BYTES = gauge(
    "engine_kv_cache_capacity_bytes",
    "Bytes of KV cache that requests can have, over all GPUs of the replica.",
    *LABELS,
    source="analysis",
)
KV_CACHE_USED_BYTES = gauge(
    "engine_kv_cache_used_bytes",
    "Bytes of KV cache in use, over all GPUs of the replica.",
    *LABELS,
    source="analysis",
)
KV_CACHE_INFLOW = gauge(
    "engine_kv_cache_inflow_tokens_per_second",
    "Tokens a second by which the KV cache in use grew over the last seconds; negative while more "
    "is released than comes in.",
    *LABELS,
    source="analysis",
)
