"""vLLM's OpenAI-compatible server, releases 0.8.5 to 0.32.0.

Names by release are from vLLM's own `v1/metrics/loggers.py` of ten releases between those.
Counters stand on the page with `_total` in all of them, whatever the source calls them.
"""

from typing import Final

from agent.catalog import engine as catalog
from collectors.engines.profile import Abandoned, Endpoint, Engine, Fact, Family, PageFacts

VLLM: Final = Engine(
    name="vllm",
    title="vLLM",
    commands=(
        ("vllm", "serve"),
        ("vllm.entrypoints.openai.api_server",),
        ("vllm.entrypoints.cli.main", "serve"),
    ),
    port=8000,
    model_argument=True,
    flags={
        Fact.HOST: ("--host",),
        Fact.PORT: ("--port",),
        Fact.UNIX_SOCKET: ("--uds",),
        Fact.TLS_KEY: ("--ssl-keyfile",),
        Fact.MODEL: ("--model",),
        Fact.MODEL_NAME: ("--served-model-name",),
        Fact.DTYPE: ("--dtype",),
        Fact.QUANTIZATION: ("--quantization", "-q"),
        Fact.KV_CACHE_DTYPE: ("--kv-cache-dtype",),
        Fact.BLOCK_SIZE: ("--block-size",),
        Fact.GPU_MEMORY_UTILIZATION: ("--gpu-memory-utilization",),
        Fact.TENSOR_PARALLEL_SIZE: ("--tensor-parallel-size", "-tp"),
        Fact.PIPELINE_PARALLEL_SIZE: ("--pipeline-parallel-size", "-pp"),
        Fact.DATA_PARALLEL_SIZE: ("--data-parallel-size", "-dp"),
        Fact.MAX_NUM_SEQS: ("--max-num-seqs",),
        Fact.MAX_NUM_BATCHED_TOKENS: ("--max-num-batched-tokens",),
        Fact.MAX_MODEL_LEN: ("--max-model-len",),
    },
    without_metrics="is this vLLM's address, and was it started without --disable-log-stats?",
    rank="engine",
    families=(
        Family(metric=catalog.REQUESTS_RUNNING, names=("vllm:num_requests_running",)),
        Family(metric=catalog.REQUESTS_WAITING, names=("vllm:num_requests_waiting",)),
        Family(
            metric=catalog.REQUESTS_WAITING_BY_REASON,
            names=("vllm:num_requests_waiting_by_reason",),  # since 0.20
        ),
        Family(
            metric=catalog.KV_CACHE_USAGE,
            names=(
                "vllm:kv_cache_usage_perc",  # since 0.9.2
                "vllm:gpu_cache_usage_perc",  # until 0.11.2
            ),
        ),
        Family(
            metric=catalog.SLEEP_STATE,
            names=("vllm:engine_sleep_state",),  # since 0.11.2
            labels={"state": "sleep_state"},
        ),
        Family(metric=catalog.PROMPT_TOKENS, names=("vllm:prompt_tokens_total",)),
        Family(
            metric=catalog.PROMPT_TOKENS_CACHED,
            names=("vllm:prompt_tokens_cached_total",),  # since 0.20
        ),
        Family(
            metric=catalog.PROMPT_TOKENS_BY_SOURCE,
            names=("vllm:prompt_tokens_by_source_total",),  # since 0.20
        ),
        Family(metric=catalog.GENERATION_TOKENS, names=("vllm:generation_tokens_total",)),
        Family(
            metric=catalog.PREFIX_CACHE_QUERIES,
            names=(
                "vllm:prefix_cache_queries_total",  # since 0.9.2
                "vllm:gpu_prefix_cache_queries_total",  # until 0.11.2
            ),
        ),
        Family(
            metric=catalog.PREFIX_CACHE_HITS,
            names=(
                "vllm:prefix_cache_hits_total",  # since 0.9.2
                "vllm:gpu_prefix_cache_hits_total",  # until 0.11.2
            ),
        ),
        # A histogram, whatever its name says.
        Family(metric=catalog.ITERATION_TOKENS, names=("vllm:iteration_tokens_total",)),
        Family(metric=catalog.STEPS, names=("vllm:iteration_tokens_total_count",)),
        Family(metric=catalog.PREEMPTIONS, names=("vllm:num_preemptions_total",)),
        Family(
            metric=catalog.SPEC_DECODE_DRAFTS,
            names=("vllm:spec_decode_num_drafts_total",),  # with speculative decoding only
        ),
        Family(
            metric=catalog.SPEC_DECODE_DRAFT_TOKENS,
            names=("vllm:spec_decode_num_draft_tokens_total",),
        ),
        Family(
            metric=catalog.SPEC_DECODE_ACCEPTED_TOKENS,
            names=("vllm:spec_decode_num_accepted_tokens_total",),
        ),
        Family(
            metric=catalog.ESTIMATED_FLOPS,
            names=("vllm:estimated_flops_per_gpu_total",),
            zero_is_unknown=True,  # 0 unless started with --enable-mfu-metrics
        ),
        Family(
            metric=catalog.ESTIMATED_READ_BYTES,
            names=("vllm:estimated_read_bytes_per_gpu_total",),
            zero_is_unknown=True,
        ),
        Family(
            metric=catalog.ESTIMATED_WRITE_BYTES,
            names=("vllm:estimated_write_bytes_per_gpu_total",),
            zero_is_unknown=True,
        ),
        Family(metric=catalog.TIME_TO_FIRST_TOKEN, names=("vllm:time_to_first_token_seconds",)),
        Family(
            metric=catalog.INTER_TOKEN_LATENCY,
            names=(
                "vllm:inter_token_latency_seconds",  # since 0.10.2
                "vllm:time_per_output_token_seconds",  # until 0.14: per token too
            ),
        ),
        Family(
            metric=catalog.REQUEST_TIME_PER_OUTPUT_TOKEN,
            names=("vllm:request_time_per_output_token_seconds",),  # since 0.11.0
        ),
        Family(metric=catalog.E2E_LATENCY, names=("vllm:e2e_request_latency_seconds",)),
        Family(metric=catalog.QUEUE_TIME, names=("vllm:request_queue_time_seconds",)),
        Family(metric=catalog.PREFILL_TIME, names=("vllm:request_prefill_time_seconds",)),
        Family(metric=catalog.DECODE_TIME, names=("vllm:request_decode_time_seconds",)),
        Family(metric=catalog.INFERENCE_TIME, names=("vllm:request_inference_time_seconds",)),
        Family(metric=catalog.REQUEST_PROMPT_TOKENS, names=("vllm:request_prompt_tokens",)),
        Family(metric=catalog.REQUEST_GENERATION_TOKENS, names=("vllm:request_generation_tokens",)),
        Family(
            metric=catalog.REQUESTS_FINISHED,
            names=("vllm:request_success_total",),
            labels={"reason": "finished_reason"},
        ),
        Family(
            metric=catalog.REQUESTS_CORRUPTED,
            names=("vllm:corrupted_requests_total",),  # since 0.11.2, if asked for
        ),
        Family(metric=catalog.HTTP_RESPONSES, names=("http_requests_total",)),
        Family(
            metric=catalog.ADMISSION_REJECTIONS,
            names=("vllm:admission_rejections_total",),  # in 0.32, not in 0.20
        ),
    ),
    page_facts=(
        PageFacts(
            name="vllm:cache_config_info",
            rank="engine",
            labels={
                Fact.BLOCK_SIZE: "block_size",
                Fact.KV_BLOCKS: "num_gpu_blocks",
                Fact.KV_TOKENS: "kv_cache_size_tokens",  # in 0.32
                Fact.KV_CACHE_DTYPE: "cache_dtype",
                Fact.GPU_MEMORY_UTILIZATION: "gpu_memory_utilization",
            },
        ),
    ),
    # Absent with several API servers.
    start_time="process_start_time_seconds",
    endpoints=(
        Endpoint(path="/version", facts={Fact.VERSION: ("version",)}),
        Endpoint(
            path="/v1/models",
            facts={
                Fact.MODEL_NAME: ("data", 0, "id"),
                Fact.MODEL: ("data", 0, "root"),
                Fact.MAX_MODEL_LEN: ("data", 0, "max_model_len"),
            },
        ),
    ),
    # A request that its client gives up is in none of the counts of finished requests: the reason
    # `abort` stays 0, measured on 0.32.0. Were it to count, it would be in the latency too.
    abandoned=Abandoned(
        started=catalog.TIME_TO_FIRST_TOKEN, finished=catalog.E2E_LATENCY, counted="abort"
    ),
    ignored={
        "python_*": "of the server's interpreter, not of the engine",
        "process_*": "the agent measures processes itself",
        "http_request_size_bytes*": "sizes of HTTP bodies say nothing of the engine's work",
        "http_response_size_bytes*": "sizes of HTTP bodies say nothing of the engine's work",
        "http_request_duration_*": "the engine's own latencies say it finer and by phase",
        "http_requests_created": "creation time, not a measurement",
        "vllm:external_prefix_cache_*": "prompt tokens by source hold it",
        "vllm:prompt_tokens_cached_by_source_total": "prompt tokens by source hold the sum",
        "vllm:mm_cache_*": "counts images and sounds, not tokens",
        "vllm:request_max_num_generation_tokens*": "what was asked for, not what was done",
        "vllm:request_params_*": "what was asked for, not what was done",
        "vllm:request_num_preemptions*": "preemptions are counted as they happen",
        "vllm:request_prefill_kv_computed_tokens*": "prompt tokens less cached ones",
        "vllm:lora_requests_info": "its labels change with every request; see the original page",
        "vllm:kv_block_*": "off by default; see the original page",
        "vllm:num_requests_kv_fetch_by_stage": "of KV connectors; see the original page",
        "vllm:watermark_requests*": "of KV connectors; see the original page",
        "vllm:spec_decode_num_accepted_tokens_per_pos_total": "the sum is kept",
        "vllm:*_created": "creation times, not measurements",
    },
)
