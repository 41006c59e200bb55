"""What the embedded history says of itself."""

from agent.catalog.declare import counter, gauge
from agent.model import History

WRITABLE = gauge(
    "history_writable",
    "1 while the history on disk takes what it is given, 0 while it does not; absent where it is "
    "switched off.",
    source="history",
)
SAMPLES = counter(
    "history_samples_saved",
    "Samples written to the history on disk at full resolution since the agent started.",
    source="history",
    history=History.FIVE_MINUTES,
)
LOST = counter(
    "history_samples_lost",
    "Samples that the history on disk will never have, by reason: `disk` did not take them in "
    "time, the `clock` went back.",
    "reason",
    source="history",
)
SPAN = gauge(
    "history_span_seconds",
    "Time between the oldest and the newest sample on disk, by resolution: `full` or `5m`.",
    "resolution",
    source="history",
    history=History.FIVE_MINUTES,
)
SIZE = gauge(
    "history_size_bytes",
    "Bytes of the history on disk that are in use.",
    source="history",
    history=History.FIVE_MINUTES,
)
SERIES = gauge(
    "history_series",
    "Series that the history on disk knows, those that have ended included.",
    source="history",
    history=History.FIVE_MINUTES,
)
