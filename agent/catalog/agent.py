"""What the agent says of itself: its sources, its ticks, its configuration."""

from agent.catalog.declare import counter, gauge, info
from agent.model import History

SOURCE_UP = gauge(
    "source_up",
    "1 while the last look at the source succeeded, 0 while it fails; absent where there is no "
    "such source on this host.",
    "source",
    source="runtime",
)
SOURCE_UNAVAILABLE = gauge(
    "source_unavailable",
    "1 while the source does not exist on this host.",
    "source",
    source="runtime",
    history=History.FIVE_MINUTES,
)
SOURCE_LAST_SUCCESS = gauge(
    "source_last_success_timestamp_seconds",
    "Unix time of the last tick at which the source was read.",
    "source",
    source="runtime",
    history=History.FIVE_MINUTES,
)
SOURCE_DURATION = gauge(
    "source_duration_seconds",
    "How long the last look at the source took.",
    "source",
    source="runtime",
)
SOURCE_FAILURES = counter(
    "source_failures",
    "Looks at the source that failed, since the agent started.",
    "source",
    source="runtime",
)
ENGINE_UP = gauge(
    "engine_up",
    "1 while the engine's page can be read, 0 while it cannot.",
    "engine",
    "instance_name",
    source="runtime",
)
ENGINE_CONFIGURED = gauge(
    "engine_configured",
    "1 where the configuration names the engine; absent where it was found, because it runs.",
    "engine",
    "instance_name",
    source="configuration",
)
TICKS = counter("ticks", "Ticks completed since the agent started.", source="runtime")
TICKS_SKIPPED = counter(
    "ticks_skipped",
    "Ticks left out because the one before took too long.",
    source="runtime",
)
TICK_DURATION = gauge(
    "tick_duration_seconds",
    "How long the tick before this one took, from looking at sources to publishing.",
    source="runtime",
)
FRAME_AGE = gauge(
    "frame_age_seconds",
    "Age of the numbers on this page when it was asked for.",
    source="HTTP endpoint",
    history=History.NONE,
)
EVENTS = counter(
    "events",
    "Things that happened once, such as an XID or the restart of an engine, by kind.",
    "kind",
    source="runtime",
)
ANALYSIS_FAILURES = counter(
    "analysis_failures",
    "Times that a part of the analysis was left out because it raised, since the agent started; "
    "absent until it first does.",
    "analysis",
    source="runtime",
)
BUILD_INFO = info("build", "Version of the agent.", "version", source="the package")
RECORDING_INFO = info(
    "replay",
    "Present while the agent plays a recording instead of watching this host.",
    "recording",
    "note",
    source="replay",
)
CONFIG_RELOAD_SUCCESS = gauge(
    "config_last_reload_successful",
    "1 when the configuration in use is the one in the file, 0 after a reload was refused.",
    source="runtime",
    history=History.FIVE_MINUTES,
)
WEB_CONFIG_SUCCESS = gauge(
    "web_config_last_read_successful",
    "1 when the web configuration in use, with its certificates and keys, is the one in the files, "
    "0 when that is refused and the one before is in use; absent without one.",
    source="HTTP endpoint",
    history=History.FIVE_MINUTES,
)
CONFIG_RELOAD_TIME = gauge(
    "config_last_reload_success_timestamp_seconds",
    "Unix time at which the configuration in use was read.",
    source="runtime",
    history=History.FIVE_MINUTES,
)
