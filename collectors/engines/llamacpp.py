"""llama.cpp's `llama-server`, 0.5.0-dev to 0.7.0, with older names from its earlier releases.

It has no histograms and no labels; requests cannot be told apart. Its gauges of tokens per second
are averages since the last scrape, by whomever, so they are left alone: two scrapers spoil them
for one another.
"""

from typing import Final

from agent.catalog import engine as catalog
from collectors.engines.profile import Endpoint, Engine, Fact, Family, SlotList

LLAMACPP: Final = Engine(
    name="llamacpp",
    title="llama.cpp",
    commands=(("llama-server",),),
    port=8080,
    flags={
        Fact.HOST: ("--host",),
        Fact.PORT: ("--port",),
        Fact.BASE_PATH: ("--api-prefix",),
        Fact.TLS_KEY: ("--ssl-key-file",),
        Fact.MODEL: ("--model", "-m"),
        Fact.MODEL_NAME: ("--alias", "-a"),
        Fact.KV_CACHE_DTYPE: ("--cache-type-k", "-ctk"),
        Fact.MAX_NUM_SEQS: ("--parallel", "-np"),
        Fact.MAX_NUM_BATCHED_TOKENS: ("--batch-size", "-b"),
        Fact.GPU_LAYERS: ("--gpu-layers", "--n-gpu-layers", "-ngl"),
    },
    switches={"--kv-unified": Fact.UNIFIED_KV, "-kvu": Fact.UNIFIED_KV},
    without_metrics="start llama-server with --metrics",
    families=(
        Family(metric=catalog.REQUESTS_RUNNING, names=("llamacpp:requests_processing",)),
        Family(metric=catalog.REQUESTS_WAITING, names=("llamacpp:requests_deferred",)),
        Family(
            metric=catalog.KV_CACHE_USAGE,
            names=("llamacpp:kv_cache_usage_ratio",),  # older releases; now only in /slots
        ),
        Family(
            metric=catalog.KV_CACHE_USED,
            names=("llamacpp:kv_cache_tokens",),  # older releases; now only in /slots
        ),
        Family(
            metric=catalog.PROMPT_TOKENS,
            names=(
                # The first of the two leaves cached tokens out.
                "llamacpp:prompt_tokens_total+llamacpp:prompt_tokens_cached_total",
                "llamacpp:prompt_tokens_total",
            ),
        ),
        Family(metric=catalog.PROMPT_TOKENS_CACHED, names=("llamacpp:prompt_tokens_cached_total",)),
        Family(metric=catalog.GENERATION_TOKENS, names=("llamacpp:tokens_predicted_total",)),
        Family(metric=catalog.PROMPT_SECONDS, names=("llamacpp:prompt_seconds_total",)),
        Family(
            metric=catalog.GENERATION_SECONDS, names=("llamacpp:tokens_predicted_seconds_total",)
        ),
        Family(metric=catalog.STEPS, names=("llamacpp:n_decode_total",)),
        # Typed as a counter, but a maximum.
        Family(metric=catalog.LONGEST_SEQUENCE, names=("llamacpp:n_tokens_max",)),
        Family(
            metric=catalog.SPEC_DECODE_DRAFTS,
            names=("llamacpp:spec_decode_num_drafts_total",),
        ),
        Family(
            metric=catalog.SPEC_DECODE_DRAFT_TOKENS,
            names=("llamacpp:spec_decode_num_draft_tokens_total",),
        ),
        Family(
            metric=catalog.SPEC_DECODE_ACCEPTED_TOKENS,
            names=("llamacpp:spec_decode_num_accepted_tokens_total",),
        ),
    ),
    # Microseconds of a monotonic clock, in spite of its name: good for telling runs apart only.
    identity_header="process-start-time-unix",
    endpoints=(
        Endpoint(
            path="/props",
            facts={
                Fact.VERSION: ("build_info",),
                Fact.MODEL: ("model_path",),
                Fact.QUANTIZATION: ("model_ftype",),
                Fact.MAX_NUM_SEQS: ("total_slots",),
                Fact.MAX_MODEL_LEN: ("default_generation_settings", "n_ctx"),
            },
        ),
        Endpoint(path="/v1/models", facts={Fact.MODEL_NAME: ("data", 0, "id")}),
    ),
    slots=SlotList(path="/slots", busy="is_processing", used="n_prompt_tokens", capacity="n_ctx"),
    ignored={
        "llamacpp:prompt_tokens_seconds": "average since the last scrape by whomever",
        "llamacpp:predicted_tokens_seconds": "average since the last scrape by whomever",
        "llamacpp:n_busy_slots_per_decode": "average since the start; tokens and steps say it",
    },
)
