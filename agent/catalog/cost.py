"""What the GPUs cost and what is got for it, by the prices of the configuration; else absent.

`at` is `now`, the last five minutes, or `capacity`, the highest load within the targets. A GPU that
several replicas share is split evenly between them. Days and months are those of UTC.
"""

from agent.catalog.declare import gauge
from agent.catalog.engine import LABELS

_PRICES = "analysis: prices of the configuration"

COST = gauge(
    "engine_cost_per_hour",
    "What the GPUs of the replica cost an hour.",
    *LABELS,
    "currency",
    source=_PRICES,
)
COST_PER_MILLION = gauge(
    "engine_cost_per_million_tokens",
    "What a million tokens, prompt and generated, cost.",
    *LABELS,
    "currency",
    "at",
    source=_PRICES,
)
TOKENS_PER_UNIT = gauge(
    "engine_tokens_per_currency_unit",
    "Tokens, prompt and generated, for one unit of money.",
    *LABELS,
    "currency",
    "at",
    source=_PRICES,
)
VALUE = gauge(
    "engine_token_value_per_hour",
    "What the tokens of the last five minutes are worth an hour, by the configured prices of input "
    "and output tokens.",
    *LABELS,
    "currency",
    source=_PRICES,
)
SPEND = gauge(
    "spend_per_hour",
    "What all GPUs of this host cost an hour, used or not.",
    "currency",
    source=_PRICES,
)
SPEND_TODAY = gauge(
    "spend_today",
    "What they have cost since midnight (UTC), as far as the agent has seen them.",
    "currency",
    source=_PRICES,
)
SPEND_MONTH = gauge(
    "spend_month",
    "What they have cost since the first of the month (UTC), as far as the agent has seen them.",
    "currency",
    source=_PRICES,
)
SPEND_FORECAST = gauge(
    "spend_month_forecast",
    "What they will have cost by the end of the month; with 90 % it lies between low and high.",
    "currency",
    "bound",
    source=_PRICES,
)
BUDGET = gauge(
    "spend_month_budget",
    "What they may cost in a month.",
    "currency",
    source="configuration",
)
