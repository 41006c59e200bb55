"""Short ways to write samples and to ask for them."""

from agent.promql import Options, Vector, evaluate_instant, evaluate_range, parse
from agent.promql.labels import NAME, value_of, without_name
from agent.store.series import Labels
from tests.promqltest.memory import MemorySource
from tests.promqltest.script import series_of

PLAIN = Options()
DELAYED = Options(delayed_names=True)


def history(*lines: str, interval: float = 10.0) -> MemorySource:
    """Return samples written as in Prometheus's test scripts, `name{label="value"} 1 2+3x4`."""
    source = MemorySource()
    for line in lines:
        series = series_of(line)
        points = enumerate(series.points)
        source.add(
            series.labels,
            [(place * interval, point) for place, point in points if isinstance(point, float)],
        )
    return source


def written(labels: Labels) -> str:
    """Return labels as one writes them: `name{a=b}`."""
    pairs = ",".join(f"{key}={value}" for key, value in without_name(labels))
    return value_of(labels, NAME) + (f"{{{pairs}}}" if pairs else "")


def ask(source: MemorySource, text: str, time: float, options: Options = PLAIN) -> dict[str, float]:
    """Return an instant vector by labels, in its order."""
    found = evaluate_instant(parse(text, experimental=True), source, time, options=options)
    assert isinstance(found, Vector)
    assert found.flags is None
    return {written(labels): value for labels, value in found}


def ask_range(
    source: MemorySource, text: str, start: float, end: float, step: float
) -> dict[str, dict[float, float]]:
    """Return the values of a range query by labels and time."""
    found = evaluate_range(parse(text, experimental=True), source, start, end, step)
    return {
        written(item.labels): dict(zip(item.times, item.values, strict=True))
        for item in found.series
    }
