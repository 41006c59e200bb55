"""The nouns: what a metric is called, how series are interned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.catalog import METRICS, PEAKS, SUBJECTS, metrics_of
from agent.catalog.declare import counter, gauge, histogram, info
from agent.model import (
    ConfigError,
    InferwatchError,
    Metric,
    MetricType,
    RecordingError,
    SeriesTable,
    SourceError,
    UnavailableError,
)

BYTES = gauge("thing_bytes", "Size of a thing.", "gpu", "uuid", source="test", peaks=True)
SECONDS = counter("waiting_seconds", "Time spent waiting.", source="test")


@pytest.mark.parametrize(
    ("metric", "name", "family", "unit"),
    [
        (BYTES, "inferwatch_thing_bytes", "inferwatch_thing_bytes", "bytes"),
        (SECONDS, "inferwatch_waiting_seconds_total", "inferwatch_waiting_seconds", "seconds"),
        (
            histogram("latency_seconds", "Latency.", source="test"),
            "inferwatch_latency_seconds",
            "inferwatch_latency_seconds",
            "seconds",
        ),
        (
            info("build", "Facts.", "version", source="test"),
            "inferwatch_build_info",
            "inferwatch_build",
            "",
        ),
        (
            gauge("running", "Running.", source="test"),
            "inferwatch_running",
            "inferwatch_running",
            "",
        ),
    ],
)
def test_declared_names(metric: Metric, name: str, family: str, unit: str):
    """A declaration adds the prefix and suffixes that Prometheus expects, and finds the unit."""
    assert (metric.name, metric.family, metric.unit) == (name, family, unit)


def test_catalogue_names_are_unique_and_follow_the_rules():
    """Each metric of the catalogue has one name of its own, with the endings of its type."""
    every = [metric for subject in SUBJECTS for metric in metrics_of(subject)]
    assert len({metric.name for metric in every}) == len(every)
    families = [metric.family for metric in METRICS.values()]
    assert len(set(families)) == len(families)
    for metric in METRICS.values():
        assert metric.name.startswith("inferwatch_")
        assert metric.name.endswith("_total") == (metric.type is MetricType.COUNTER), metric.name
        assert metric.name.endswith("_info") == (metric.type is MetricType.INFO), metric.name
        assert metric.help.endswith("."), metric.name
        assert metric.source, metric.name
        assert len(set(metric.labels)) == len(metric.labels)


def test_peaks_are_gauges_of_the_catalogue():
    """What has peaks is a gauge, and its two extremes stand behind it with the same labels."""
    assert PEAKS
    names = list(METRICS)
    for metric, (highest, lowest) in PEAKS.items():
        assert metric.type is MetricType.GAUGE
        assert (highest.labels, lowest.labels) == (metric.labels, metric.labels)
        assert not highest.peaks
        assert not lowest.peaks
        at = names.index(metric.name)
        assert names[at + 1 : at + 3] == [metric.name + "_max", metric.name + "_min"]


def test_intern_gives_one_number_for_one_series():
    """The same metric, labels and part give the same dense number; anything else another."""
    table = SeriesTable()
    first = table.intern(BYTES, ("0", "GPU-a"))
    assert first == 0
    assert table.intern(BYTES, ["0", "GPU-a"]) == first
    others = {
        table.intern(BYTES, ("1", "GPU-a")),
        table.intern(SECONDS),
        table.intern(BYTES, ("0", "GPU-a"), suffix="_bucket", le="1"),
        table.intern(BYTES, ("0", "GPU-a"), suffix="_bucket", le="1.0"),
    }
    assert others == {1, 2, 3, 4}
    assert len(table) == 5


def test_intern_refuses_the_wrong_number_of_labels():
    """Label values that do not match the labels are an error of the caller, said by name."""
    table = SeriesTable()
    with pytest.raises(ValueError, match="inferwatch_thing_bytes"):
        table.intern(BYTES, ("0",))
    assert len(table) == 0


def test_label_pairs_leave_out_empty_labels():
    """An empty label value is an absent label; the bound of a bucket comes last."""
    table = SeriesTable()
    series = table[table.intern(BYTES, ("", "GPU-a"), suffix="_bucket", le="+Inf")]
    assert series.label_pairs() == [("uuid", "GPU-a"), ("le", "+Inf")]
    assert series.sample_name == "inferwatch_thing_bytes_bucket"


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3))))
def test_table_is_a_bijection(labels: list[tuple[str, str]]):
    """Numbers and series name each other, whatever the label values and their order."""
    table = SeriesTable()
    ids = [table.intern(BYTES, pair) for pair in labels]
    assert [table[number].labels for number in ids] == labels
    assert len(table) == len(set(labels))
    assert sorted(set(ids)) == list(range(len(table)))


@given(st.lists(st.integers(-5, 5).filter(bool)))
def test_an_identifier_is_never_given_twice(steps: list[int]):
    """What is forgotten and seen again is another; what is not forgotten stays what it was."""
    table = SeriesTable()
    now: dict[str, int] = {}
    given: set[int] = set()
    for step in steps:
        name = str(abs(step))
        if step > 0:
            number = table.intern(BYTES, (name, ""))
            assert number == now.get(name, number)
            assert (name in now) == (number in given)
            now[name] = number
            given.add(number)
        elif name in now:
            table.forget([now.pop(name)])
        assert list(table) == sorted(now.values())
        assert {table[number].labels[0]: number for number in table} == now
        assert all((number in table) == (number in now.values()) for number in given)
        assert len(table) == len(now)


def test_what_was_forgotten_has_no_name():
    """Asking for it is an error and no other series."""
    table = SeriesTable()
    number = table.intern(BYTES, ("0", ""))
    table.forget([number])
    assert table.find(BYTES, ("0", "")) is None
    with pytest.raises(KeyError):
        table[number]


def test_errors_form_one_tree():
    """Everything raised on purpose is an InferwatchError; what is not there is a SourceError."""
    for error in (ConfigError, SourceError, RecordingError):
        assert issubclass(error, InferwatchError)
    assert issubclass(UnavailableError, SourceError)
