"""Rules and alerts: how many, how their evaluation and their delivery fare."""

from agent.catalog.declare import counter, gauge
from agent.model import History

ALERTS = gauge(
    "alerts",
    "Alerts in this state now, pending or firing; absent before the first of that name.",
    "alertname",
    "state",
    source="rules",
)
FLAPPING = gauge(
    "alerts_flapping",
    "Alerts that come and go: their share of change was above 30 % and is not yet below 20 %.",
    "alertname",
    source="rules",
)
STATE_CHANGE = gauge(
    "alert_state_change_ratio",
    "Share of the last 20 minutes in which an alert of that name began or ended, the newest "
    "weighted with 1.2, the oldest with 0.8; the highest of all.",
    "alertname",
    source="rules",
)
RULES = gauge("rules", "Rules that are evaluated.", source="rules", history=History.FIVE_MINUTES)
RULE_FAILURES = counter(
    "rule_evaluation_failures",
    "Evaluations of the rule that had no result, since the agent started; absent before the first.",
    "group",
    "rule",
    source="rules",
)
RULES_DURATION = gauge(
    "rules_duration_seconds",
    "How long evaluating the rules took at the tick before this one.",
    source="rules",
)
DELIVERED = counter(
    "alerts_delivered",
    "Alerts that the receiver took, since the agent started; one that is told again counts again.",
    "receiver",
    source="receivers",
)
DELIVERY_FAILURES = counter(
    "alert_delivery_failures",
    "Requests to the receiver that failed and are tried again.",
    "receiver",
    source="receivers",
)
REFUSED = counter(
    "alerts_refused",
    "Alerts that the receiver would not take.",
    "receiver",
    source="receivers",
)
DROPPED = counter(
    "alerts_dropped",
    "Alerts that were given up for want of room, for their age, or damaged on disk.",
    "receiver",
    source="receivers",
)
WAITING = gauge(
    "alerts_waiting",
    "Alerts that wait for the receiver.",
    "receiver",
    source="receivers",
)
RECEIVER_UP = gauge(
    "alert_receiver_up",
    "1 while the receiver answers, 0 while it does not; absent before the first alert.",
    "receiver",
    source="receivers",
)
