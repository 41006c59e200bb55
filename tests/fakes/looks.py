"""Random lives of sources: what they gave tick by tick, for properties that must hold for all."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from agent.catalog import METRICS
from agent.model import Event, Look, Metric, MetricType, Reading, SeriesTable, SourceSpec

GAUGES: list[Metric] = [
    metric
    for metric in METRICS.values()
    if metric.type is MetricType.GAUGE
    and metric.labels
    and metric.source not in ("runtime", "analysis")
]
COUNTERS = [metric for metric in METRICS.values() if metric.type is MetricType.COUNTER][:3]
HISTOGRAMS = [metric for metric in METRICS.values() if metric.type is MetricType.HISTOGRAM][:2]
PARTS = (("_bucket", "0.5"), ("_bucket", "+Inf"), ("_sum", ""), ("_count", ""))

VALUES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-(2**60), 2**60),
    st.sampled_from([0, 1, 1.0, 0.1, 2.0**53, 2.0**53 + 2, 1e308, 5e-324]),
)
TEXTS = st.one_of(
    st.sampled_from(["", "a", "GPU-1", 'q"\\\n', "é😀", "\udcff"]), st.text(max_size=4)
)


@dataclass(frozen=True)
class Tick:
    """One tick of a life."""

    time: float
    looks: Sequence[Look]
    specs: dict[str, SourceSpec]
    gone: Sequence[str]
    now: float | None = None


@st.composite
def series(draw: st.DrawFn, table: SeriesTable) -> int:
    """Draw a series of the catalogue."""
    metric = draw(st.sampled_from([*GAUGES[:3], *COUNTERS, *HISTOGRAMS]))
    labels = [draw(TEXTS) for _name in metric.labels]
    suffix, le = ("", "")
    if metric.type is MetricType.HISTOGRAM:
        suffix, le = draw(st.sampled_from(PARTS))
    return table.intern(metric, labels, suffix=suffix, le=le)


EVENTS = st.builds(
    Event,
    time=st.floats(0, 2e9),
    kind=st.sampled_from(["xid", "oom_kill"]),
    source=st.sampled_from("abc"),
    labels=st.dictionaries(st.sampled_from(["gpu", "process", "path"]), TEXTS),
    message=TEXTS,
)
DURATIONS = st.floats(0, 100).map(lambda seconds: round(seconds, 6))
AGES = st.just(0.0) | DURATIONS


@st.composite
def lives(draw: st.DrawFn, table: SeriesTable) -> list[Tick]:
    """Draw ticks in which sources come, give, fail, go and return, with changing layouts."""
    pool = draw(st.lists(series(table), min_size=1, max_size=8, unique=True))
    layouts = st.lists(st.sampled_from(pool), max_size=6, unique=True)
    specs: dict[str, SourceSpec] = {}
    kept: dict[str, list[int]] = {}
    ticks: list[Tick] = []
    time = draw(st.floats(1e9, 2e9))
    # A recording of before there was one has no monotonic clock.
    now = draw(st.none() | st.floats(0, 1e6))
    for _tick in range(draw(st.integers(0, 12))):
        passed = draw(st.sampled_from([0.1, 1.0, 15.0]))
        time += passed + draw(st.sampled_from([0.0, 0.0, -30.0, 3600.0]))
        now = None if now is None else now + passed
        gone = [name for name in list(specs) if draw(st.integers(0, 9)) == 0]
        for name in gone:
            del specs[name]
        for name in "abc":
            if draw(st.integers(0, 3)) == 0:
                up = draw(st.none() | st.sampled_from(pool))
                precedence = draw(st.integers(0, 1))
                specs[name] = SourceSpec(
                    name=name, stale_after=5.0, precedence=precedence, up_id=up
                )
        looks = []
        for name in specs:
            outcome = draw(st.sampled_from(["same", "same", "new", "error", "unavailable", "none"]))
            duration = draw(DURATIONS)
            age = draw(AGES)
            if outcome in ("error", "unavailable"):
                gone_away = outcome == "unavailable"
                error = draw(TEXTS)
                told = [] if gone_away else draw(layouts)
                facts = Reading(told, [draw(VALUES) for _id in told])
                looks.append(
                    Look(
                        source=name,
                        duration=duration,
                        error=error,
                        unavailable=gone_away,
                        facts=facts,
                        age=age,
                    )
                )
            elif outcome != "none":
                if outcome == "new" or name not in kept:
                    kept[name] = draw(layouts)
                values = [draw(VALUES) for _id in kept[name]]
                events = draw(st.lists(EVENTS, max_size=2))
                reading = Reading(kept[name], values, events)
                looks.append(Look(source=name, duration=duration, reading=reading, age=age))
        ticks.append(Tick(time, looks, dict(specs), gone, now))
    return ticks
