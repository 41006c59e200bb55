"""How long tokens and requests take, by batch; and what a step of an engine takes, as a law."""

from enum import StrEnum

from agent.catalog.declare import gauge
from agent.catalog.engine import LABELS
from agent.model import History

_HISTOGRAMS = "analysis: the engine's own histograms"
_LAW = "analysis: steps, tokens and latencies of the engine's page"


class Quantity(StrEnum):
    """What is timed; values of the label `quantity`."""

    INTER_TOKEN = "inter_token"  # noqa: S105 - a latency, no secret
    TIME_TO_FIRST_TOKEN = "time_to_first_token"  # noqa: S105 - likewise
    END_TO_END = "end_to_end"
    QUEUE = "queue"


LATENCY_TARGET = gauge(
    "engine_latency_target_seconds",
    "What 95 of 100 should not exceed, by slo: time_to_first_token, inter_token_latency; bound: of "
    "the bucket of the engine's histogram that stands for it.",
    *LABELS[:3],
    "slo",
    "bound",
    source="configuration",
    history=History.FIVE_MINUTES,
)

# --- the last minute -------------------------------------------------------------------------

LATENCY_MEAN = gauge(
    "engine_latency_mean_seconds",
    "Mean over the last minute, by quantity: inter_token, time_to_first_token, end_to_end, queue.",
    *LABELS,
    "quantity",
    source=_HISTOGRAMS,
)
LATENCY_P50 = gauge(
    "engine_latency_p50_seconds",
    "Median over the last minute, by quantity.",
    *LABELS,
    "quantity",
    source=_HISTOGRAMS,
)
LATENCY_P95 = gauge(
    "engine_latency_p95_seconds",
    "95th percentile over the last minute, by quantity.",
    *LABELS,
    "quantity",
    source=_HISTOGRAMS,
)
TOKENS_PER_SECOND = gauge(
    "engine_generation_tokens_per_second",
    "Tokens generated each second over the last minute.",
    *LABELS,
    source=_HISTOGRAMS,
)
STREAM_TOKENS_PER_SECOND = gauge(
    "engine_stream_tokens_per_second",
    "Tokens that one request got each second while it generated, over the last minute: the inverse "
    "of the mean inter-token latency.",
    *LABELS,
    source=_HISTOGRAMS,
)

# --- by batch, over the last hours --------------------------------------------------------------

BATCH_LATENCY_MEAN = gauge(
    "engine_batch_latency_mean_seconds",
    "Mean by quantity and running requests (batch: 1, 2, 3-4, 5-8, …), over the last hours; "
    "what is an hour old counts half.",
    *LABELS,
    "quantity",
    "batch",
    source=_HISTOGRAMS,
    history=History.FIVE_MINUTES,
)
BATCH_LATENCY_P95 = gauge(
    "engine_batch_latency_p95_seconds",
    "95th percentile by quantity and running requests, over the last hours.",
    *LABELS,
    "quantity",
    "batch",
    source=_HISTOGRAMS,
    history=History.FIVE_MINUTES,
)

# --- cold and warm ---------------------------------------------------------------------------

FIRST_TOKEN_MEAN = gauge(
    "engine_time_to_first_token_phase_mean_seconds",
    "Mean time to first token: cold, of the first 4 requests after the engine started or had "
    "nothing to do for five minutes (the last such occasion), and warm, of all others.",
    *LABELS,
    "phase",
    source=_HISTOGRAMS,
    history=History.FIVE_MINUTES,
)
FIRST_TOKEN_REQUESTS = gauge(
    "engine_time_to_first_token_phase_requests",
    "Requests that those means are of; warm ones count half after an hour.",
    *LABELS,
    "phase",
    source=_HISTOGRAMS,
    history=History.FIVE_MINUTES,
)

# --- the law of the step ---------------------------------------------------------------------

STEP_TIME_COEFFICIENT = gauge(
    "engine_step_time_coefficient_seconds",
    "Step time as base + prefill · prompt tokens + decode · sequences + kv · tokens held + bend · "
    "sequences², by term; absent where the load does not tell the term from the others.",
    *LABELS,
    "term",
    source=_LAW,
    history=History.FIVE_MINUTES,
)
STEP_TIME_COEFFICIENT_LOW = gauge(
    "engine_step_time_coefficient_low_seconds",
    "Lower end of its 90 % interval.",
    *LABELS,
    "term",
    source=_LAW,
    history=History.FIVE_MINUTES,
)
STEP_TIME_COEFFICIENT_HIGH = gauge(
    "engine_step_time_coefficient_high_seconds",
    "Upper end of its 90 % interval.",
    *LABELS,
    "term",
    source=_LAW,
    history=History.FIVE_MINUTES,
)
STEP_TIME_RESIDUAL = gauge(
    "engine_step_time_residual_ratio",
    "Scatter of the observed step times about the law, relative to them.",
    *LABELS,
    source=_LAW,
    history=History.FIVE_MINUTES,
)
STEP_TIME_IDENTIFIABLE = gauge(
    "engine_step_time_identifiable",
    "1 where the load varied enough to tell a law from the mean of what was seen, else 0.",
    *LABELS,
    source=_LAW,
    history=History.FIVE_MINUTES,
)
STEP_TIME_STRETCHES = gauge(
    "engine_step_time_stretches",
    "Stretches of work of some seconds that the law rests on.",
    *LABELS,
    source=_LAW,
    history=History.FIVE_MINUTES,
)
STEP_TIME_TRUSTED_BATCH = gauge(
    "engine_step_time_trusted_batch",
    "Largest batch up to which the law is trusted: its interval is within 15 %, and the batch at "
    "most twice what was seen; the largest seen where the load never varied.",
    *LABELS,
    source=_LAW,
    history=History.FIVE_MINUTES,
)
