"""What autoscalers and routers go by; absent where it is not known or too old to be true."""

from enum import StrEnum

from agent.catalog.declare import gauge
from agent.catalog.engine import LABELS

_ANALYSIS = "analysis: capacity, demand, queue and KV cache"


class Admit(StrEnum):
    """Whether a replica should be sent more requests; values of the label `advice`."""

    OK = "ok"
    SHED = "shed"
    STOP = "stop"


UTILIZATION = gauge(
    "engine_utilization_ratio",
    "Demand as a share of the lower bound of the capacity; above 1 more is asked than it surely "
    "carries.",
    *LABELS,
    source=_ANALYSIS,
)
PREDICTED_UTILIZATION = gauge(
    "engine_predicted_utilization_ratio",
    "The same some minutes ahead (capacity.horizon), by the forecast of the "
    "demand on its model; bound is low, estimate or high.",
    *LABELS,
    "bound",
    source=_ANALYSIS,
)
SAFE_TO_REMOVE = gauge(
    "engine_safe_to_remove",
    "1 where the other replicas of its model on this host could do without it, else 0; "
    "/api/v1/signals says why.",
    *LABELS,
    source=_ANALYSIS,
)
ADMIT = gauge(
    "engine_admit",
    "1 for what is advised about further requests, else 0: ok, shed, stop.",
    *LABELS,
    "advice",
    source=_ANALYSIS,
)
DESIRED_CHANGE = gauge(
    "engine_desired_change",
    "1 where more replicas are wanted, -1 where this one is not needed, else 0: a direction, not "
    "a number of replicas.",
    *LABELS,
    source=_ANALYSIS,
)
