"""What there is to say of DCGM itself; its values carry the names of `agent.catalog.gpu`."""

from agent.catalog.declare import gauge

DATA_AGE = gauge(
    "dcgm_data_age_seconds",
    "Time since the page of dcgm-exporter last changed: its values are at most one of its own "
    "intervals (30 s unless configured) older than they look.",
    source="dcgm-exporter",
)
