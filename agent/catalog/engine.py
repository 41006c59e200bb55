"""What an inference engine says of itself, under one set of names for every engine.

An engine that does not give a value has no such series. Buckets are the engine's own.
"""

from agent.catalog.declare import counter, gauge, histogram, info
from agent.model import History

# `engine` is the kind (vllm, llamacpp), `instance_name` the configured or discovered name,
# `rank` the data-parallel rank where the engine has ranks.
LABELS = ("engine", "instance_name", "model_name", "rank")
INSTANCE = ("engine", "instance_name")

_PAGE = "engine page"
_FACTS = "engine page, fact endpoints and command line"
_LIMITS = f"{_FACTS}; capacity.limits before them"

# --- what is going on ------------------------------------------------------------------------

REQUESTS_RUNNING = gauge(
    "engine_requests_running",
    "Requests in the batch that the engine is executing.",
    *LABELS,
    source=_PAGE,
    peaks=True,
)
REQUESTS_WAITING = gauge(
    "engine_requests_waiting",
    "Requests admitted by the engine that wait to be executed.",
    *LABELS,
    source=_PAGE,
    peaks=True,
)
REQUESTS_WAITING_BY_REASON = gauge(
    "engine_requests_waiting_by_reason",
    "Waiting requests by what they wait for; the sum is engine_requests_waiting.",
    *LABELS,
    "reason",
    source=_PAGE,
)
KV_CACHE_USAGE = gauge(
    "engine_kv_cache_usage_ratio",
    "Share of the KV cache in use, from 0 to 1.",
    *LABELS,
    source=_PAGE,
    peaks=True,
)
KV_CACHE_CAPACITY = gauge(
    "engine_kv_cache_capacity_tokens",
    "Tokens that the KV cache can hold for requests.",
    *LABELS,
    source=_FACTS,
)
KV_CACHE_USED = gauge(
    "engine_kv_cache_used_tokens",
    "Tokens of KV cache in use, whole blocks where the engine allocates blocks.",
    *LABELS,
    source="engine page: usage times capacity; llama.cpp: slots at work",
    peaks=True,
)
SLEEP_STATE = gauge(
    "engine_sleep_state",
    "1 for the state that the engine is in: awake, weights_offloaded or discard_all.",
    *LABELS,
    "state",
    source=_PAGE,
)
LONGEST_SEQUENCE = gauge(
    "engine_longest_sequence_tokens",
    "Longest sequence since the engine started, prompt and generation together.",
    *LABELS,
    source=_PAGE,
)
START_TIME = gauge(
    "engine_start_time_seconds",
    "When the engine's server process started, in seconds since 1970.",
    *INSTANCE,
    source="engine page, else the process",
)

# --- tokens and steps ------------------------------------------------------------------------

PROMPT_TOKENS = counter(
    "engine_prompt_tokens",
    "Prompt tokens of the requests that were processed, those found in the cache included.",
    *LABELS,
    source=_PAGE,
)
PROMPT_TOKENS_CACHED = counter(
    "engine_prompt_tokens_cached",
    "Prompt tokens that were found in a cache instead of computed.",
    *LABELS,
    source=_PAGE,
)
PROMPT_TOKENS_BY_SOURCE = counter(
    "engine_prompt_tokens_by_source",
    "Prompt tokens by where their KV entries came from.",
    *LABELS,
    "source",
    source=_PAGE,
)
GENERATION_TOKENS = counter("engine_generation_tokens", "Tokens generated.", *LABELS, source=_PAGE)
PREFIX_CACHE_QUERIES = counter(
    "engine_prefix_cache_queries",
    "Tokens that were looked for in the prefix cache.",
    *LABELS,
    source=_PAGE,
)
PREFIX_CACHE_HITS = counter(
    "engine_prefix_cache_hits",
    "Tokens that were found in the prefix cache.",
    *LABELS,
    source=_PAGE,
)
ITERATION_TOKENS = histogram(
    "engine_iteration_tokens",
    "Tokens that one step of the engine processed; the count is the number of steps.",
    *LABELS,
    source=_PAGE,
)
STEPS = counter(
    "engine_steps", "Steps (forward passes over a batch) of the engine.", *LABELS, source=_PAGE
)
PREEMPTIONS = counter(
    "engine_preemptions",
    "Requests thrown out of the batch for want of KV cache, to be computed again later.",
    *LABELS,
    source=_PAGE,
)
SPEC_DECODE_DRAFTS = counter(
    "engine_spec_decode_drafts", "Speculative decoding: drafts verified.", *LABELS, source=_PAGE
)
SPEC_DECODE_DRAFT_TOKENS = counter(
    "engine_spec_decode_draft_tokens",
    "Speculative decoding: tokens drafted.",
    *LABELS,
    source=_PAGE,
)
SPEC_DECODE_ACCEPTED_TOKENS = counter(
    "engine_spec_decode_accepted_tokens",
    "Speculative decoding: drafted tokens that the model accepted.",
    *LABELS,
    source=_PAGE,
)
PROMPT_SECONDS = counter(
    "engine_prompt_processing_seconds",
    "Time that the engine spent on prompts.",
    *LABELS,
    source=_PAGE,
)
GENERATION_SECONDS = counter(
    "engine_generation_seconds",
    "Time that the engine spent on generating tokens.",
    *LABELS,
    source=_PAGE,
)
ESTIMATED_FLOPS = counter(
    "engine_estimated_flops_per_gpu",
    "Floating point operations on each GPU, as the engine estimates them.",
    *LABELS,
    source=_PAGE,
)
ESTIMATED_READ_BYTES = counter(
    "engine_estimated_read_per_gpu_bytes",
    "Bytes read from the memory of each GPU, as the engine estimates them.",
    *LABELS,
    source=_PAGE,
)
ESTIMATED_WRITE_BYTES = counter(
    "engine_estimated_write_per_gpu_bytes",
    "Bytes written to the memory of each GPU, as the engine estimates them.",
    *LABELS,
    source=_PAGE,
)

# --- how long requests take ------------------------------------------------------------------

TIME_TO_FIRST_TOKEN = histogram(
    "engine_time_to_first_token_seconds",
    "From the arrival of a request to its first token.",
    *LABELS,
    source=_PAGE,
)
INTER_TOKEN_LATENCY = histogram(
    "engine_inter_token_latency_seconds",
    "From one token of a request to its next.",
    *LABELS,
    source=_PAGE,
)
REQUEST_TIME_PER_OUTPUT_TOKEN = histogram(
    "engine_request_time_per_output_token_seconds",
    "Mean time per token after the first, one observation a finished request.",
    *LABELS,
    source=_PAGE,
)
E2E_LATENCY = histogram(
    "engine_e2e_request_latency_seconds",
    "From the arrival of a request to its last token.",
    *LABELS,
    source=_PAGE,
)
QUEUE_TIME = histogram(
    "engine_request_queue_time_seconds",
    "Time that a request waited before it was first executed.",
    *LABELS,
    source=_PAGE,
)
PREFILL_TIME = histogram(
    "engine_request_prefill_time_seconds",
    "Time from a request's first execution to its first token.",
    *LABELS,
    source=_PAGE,
)
DECODE_TIME = histogram(
    "engine_request_decode_time_seconds",
    "Time from a request's first token to its last.",
    *LABELS,
    source=_PAGE,
)
INFERENCE_TIME = histogram(
    "engine_request_inference_time_seconds",
    "Time from a request's first execution to its last token.",
    *LABELS,
    source=_PAGE,
)

# --- how requests look and end ---------------------------------------------------------------

REQUEST_PROMPT_TOKENS = histogram(
    "engine_request_prompt_tokens",
    "Prompt length of a finished request in tokens.",
    *LABELS,
    source=_PAGE,
)
REQUEST_GENERATION_TOKENS = histogram(
    "engine_request_generation_tokens",
    "Tokens generated for a finished request.",
    *LABELS,
    source=_PAGE,
)
REQUESTS_FINISHED = counter(
    "engine_requests_finished",
    "Requests that ended, by the reason that the engine gives.",
    *LABELS,
    "reason",
    source=_PAGE,
)
REQUESTS_ABANDONED = counter(
    "engine_requests_abandoned",
    "Requests that began to answer and were given up by the client: those with a first token "
    "that neither finished nor are in the engine; a lower bound while requests wait.",
    *LABELS,
    source="engine page: counts of time to first token and of end-to-end latency, running, waiting",
)
REQUESTS_CORRUPTED = counter(
    "engine_requests_corrupted", "Requests whose logits held NaN.", *LABELS, source=_PAGE
)
HTTP_RESPONSES = counter(
    "engine_http_responses",
    "HTTP answers of the engine's server, by status class as the server writes it (2xx, 4xx).",
    *LABELS,
    "status",
    source=_PAGE,
)
LOGGED_HTTP_RESPONSES = counter(
    "engine_logged_http_responses",
    "Answers to what callers sent (POST) that the access log of the engine's server names, by "
    "status: 2xx, 400, 401, 403, 404, 429, 4xx for every other refusal, 5xx; those too that the "
    "engine refuses before its page counts. Absent where no log is read or none names answers; a "
    "lower bound where more is written than is read.",
    *INSTANCE,
    "status",
    source="log of the engine",
)
ADMISSION_REJECTIONS = counter(
    "engine_admission_rejections",
    "Requests refused because the engine's queue was at a limit, by limit.",
    *LABELS,
    "reason",
    source=_PAGE,
)

# --- limits and facts ------------------------------------------------------------------------

MAX_NUM_SEQS = gauge(
    "engine_max_num_seqs",
    "Requests that the engine executes at once, at most.",
    *INSTANCE,
    source=_LIMITS,
    history=History.FIVE_MINUTES,
)
MAX_NUM_BATCHED_TOKENS = gauge(
    "engine_max_num_batched_tokens",
    "Tokens that one step of the engine processes, at most.",
    *INSTANCE,
    source=_LIMITS,
    history=History.FIVE_MINUTES,
)
MAX_MODEL_LEN = gauge(
    "engine_max_model_len_tokens",
    "Tokens of prompt and generation together that one request may have.",
    *INSTANCE,
    source=_FACTS,
    history=History.FIVE_MINUTES,
)
INFO = info(
    "engine",
    "What is served and how, as far as the engine or its command line says.",
    *INSTANCE,
    "model_name",
    "model",
    "version",
    "dtype",
    "quantization",
    "kv_cache_dtype",
    "block_size",
    "gpu_memory_utilization",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "gpu_layers",
    source=_FACTS,
)
DISCOVERED = gauge(
    "discovered_engines",
    "Engines found among the processes of this host.",
    "engine",
    source="/proc",
)
