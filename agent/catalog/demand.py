"""What will be asked of the models of this host, what usually is, and when it is too much.

`bound` is `low`, `estimate` or `high`: with 90 % it lies between low and high. Each stands for a
model, and once more for all of the host. What is not known, or not known long enough, is absent.
"""

from agent.catalog.declare import gauge
from agent.model import History

_ANALYSIS = "analysis: the demand of the last minutes and weeks"
_MODEL = ("model_name",)

HORIZON = gauge(
    "demand_forecast_horizon_seconds",
    "How far ahead the demand is foreseen (capacity.horizon).",
    source="configuration",
    history=History.FIVE_MINUTES,
)
MODEL_FORECAST = gauge(
    "model_demand_forecast_tokens_per_minute",
    "Demand on a model, foreseen for the horizon ahead.",
    *_MODEL,
    "bound",
    source=_ANALYSIS,
)
HOST_FORECAST = gauge(
    "host_demand_forecast_tokens_per_minute",
    "Demand on all models of this host, foreseen for the horizon ahead.",
    "bound",
    source=_ANALYSIS,
)
MODEL_USUAL = gauge(
    "model_demand_usual_tokens_per_minute",
    "Between what (bound low and high) the demand on a model, as a mean of five minutes, usually "
    "is at this time of the week; absent before it was seen for two weeks.",
    *_MODEL,
    "bound",
    source=_ANALYSIS,
)
HOST_USUAL = gauge(
    "host_demand_usual_tokens_per_minute",
    "The same of the demand on all models of this host.",
    "bound",
    source=_ANALYSIS,
)
MODEL_GROWTH = gauge(
    "model_demand_growth_ratio",
    "Growth of the demand on a model a week, as a share of what it is now; absent before three "
    "whole weeks.",
    *_MODEL,
    "bound",
    source=_ANALYSIS,
    history=History.FIVE_MINUTES,
)
HOST_GROWTH = gauge(
    "host_demand_growth_ratio",
    "The same of the demand on all models of this host.",
    "bound",
    source=_ANALYSIS,
    history=History.FIVE_MINUTES,
)
MODEL_EXHAUSTION = gauge(
    "model_capacity_exhaustion_forecast_seconds",
    "Seconds until the busiest hour of a week reaches the capacity of all replicas of a model, by "
    "growth that goes on; 0 where it does already; absent where that is not foreseen.",
    *_MODEL,
    "bound",
    source=_ANALYSIS,
)
HOST_EXHAUSTION = gauge(
    "host_capacity_exhaustion_forecast_seconds",
    "The same of all models of this host together.",
    "bound",
    source=_ANALYSIS,
)
MODEL_HISTORY = gauge(
    "model_demand_history",
    "1 for what is known of the demand on a model, else 0: none, hours, days or weeks, each of "
    "which allows more to be foreseen.",
    *_MODEL,
    "maturity",
    source=_ANALYSIS,
    history=History.FIVE_MINUTES,
)
HOST_HISTORY = gauge(
    "host_demand_history",
    "The same of the demand on all models of this host.",
    "maturity",
    source=_ANALYSIS,
    history=History.FIVE_MINUTES,
)
