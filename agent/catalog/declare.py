"""Short forms to declare a metric; they add the prefix and the suffixes that Prometheus expects."""

from agent.model import History, Metric, MetricType

PREFIX = "inferwatch_"


def gauge(
    name: str,
    help_text: str,
    *labels: str,
    source: str,
    history: History = History.FULL,
    peaks: bool = False,
) -> Metric:
    """Declare a gauge; `peaks` publishes its `_max` and `_min` over the trailing window too."""
    return Metric(
        name=PREFIX + name,
        type=MetricType.GAUGE,
        help=help_text,
        labels=labels,
        unit=_unit(name),
        source=source,
        history=history,
        peaks=peaks,
    )


def counter(
    name: str, help_text: str, *labels: str, source: str, history: History = History.FULL
) -> Metric:
    """Declare a counter by its name without `_total`."""
    return Metric(
        name=f"{PREFIX}{name}_total",
        type=MetricType.COUNTER,
        help=help_text,
        labels=labels,
        unit=_unit(name),
        source=source,
        history=history,
    )


def histogram(
    name: str, help_text: str, *labels: str, source: str, history: History = History.FIVE_MINUTES
) -> Metric:
    """Declare a histogram; its buckets are whatever the source has."""
    return Metric(
        name=PREFIX + name,
        type=MetricType.HISTOGRAM,
        help=help_text,
        labels=labels,
        unit=_unit(name),
        source=source,
        history=history,
    )


def info(name: str, help_text: str, *labels: str, source: str) -> Metric:
    """Declare facts that are carried as labels of a series whose value is 1."""
    return Metric(
        name=f"{PREFIX}{name}_info",
        type=MetricType.INFO,
        help=help_text,
        labels=labels,
        source=source,
        history=History.FIVE_MINUTES,
    )


_UNITS = ("seconds", "bytes", "ratio", "watts", "joules", "celsius", "hertz", "tokens")


def _unit(name: str) -> str:
    """Return the base unit that the name ends in, or nothing."""
    last = name.rsplit("_", 1)[-1]
    return last if last in _UNITS else ""
