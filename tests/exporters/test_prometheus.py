"""The page: what the official parsers read from it is what the frame says."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_of
from prometheus_client.parser import text_string_to_metric_families as text_of

from agent.catalog import METRICS, PEAKS
from agent.catalog import agent as catalog
from agent.model import Frame, Metric, MetricType, SeriesTable
from exporters import exposition
from exporters.exposition import format_value
from exporters.prometheus import (
    PrometheusExporter,
    accepts_gzip,
    accepts_openmetrics,
)
from tests.fakes.clock import ManualClock
from tests.fakes.looks import COUNTERS, GAUGES, HISTOGRAMS, TEXTS

INFO = next(metric for metric in METRICS.values() if metric.type is MetricType.INFO)
NOW = 1_800_000_000.0

Parsed = dict[tuple[str, tuple[tuple[str, str], ...]], str]
Parser = Callable[[str], Iterable[Family]]


def _parsed(page: str, parser: Parser) -> Parsed:
    """Return the samples of a page; NaN equals NaN there."""
    found: Parsed = {}
    for family in parser(page):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} is given twice"
            found[key] = str(float(sample.value) + 0.0)
    return found


def _expected(frame: Frame, age: float) -> Parsed:
    """Return the samples that the page of a frame must hold."""
    found: Parsed = {(catalog.FRAME_AGE.name, ()): str(age)}
    for number, value in zip(frame.ids, frame.values, strict=True):
        series = frame.table[number]
        labels = tuple(
            sorted(
                (name, text.encode("utf-8", "backslashreplace").decode())
                for name, text in series.label_pairs()
            )
        )
        found[series.sample_name, labels] = str(float(value) + 0.0)
    return found


async def _exporter(frame: Frame | None = None) -> tuple[PrometheusExporter, ManualClock]:
    """Return an exporter with a frame."""
    clock = ManualClock(time=NOW)
    exporter = PrometheusExporter(clock)
    if frame is not None:
        await exporter.publish(frame)
    return exporter, clock


def _frame(table: SeriesTable, *samples: tuple[int, float]) -> Frame:
    """Return a frame of these samples."""
    return Frame(NOW, table, [number for number, _ in samples], [value for _, value in samples])


NUMBERS = st.one_of(
    st.floats(),
    st.integers(-(10**20), 10**20),
    st.sampled_from([0.1, 1e16, 5e-324, math.inf, -math.inf, math.nan]),
)
COUNTS = st.one_of(st.floats(0, allow_infinity=False), st.integers(0, 10**6))


@st.composite
def layouts(draw: st.DrawFn, table: SeriesTable) -> list[int]:
    """Draw a set of series in any order: gauges, counters, facts and whole histograms."""
    metrics = draw(st.lists(st.sampled_from([*GAUGES[:4], *COUNTERS, INFO]), max_size=8))
    ids = [table.intern(metric, [draw(TEXTS) for _ in metric.labels]) for metric in metrics]
    for metric in draw(st.lists(st.sampled_from(HISTOGRAMS), max_size=2)):
        labels = [draw(TEXTS) for _ in metric.labels]
        parts = [("_bucket", le) for le in ("0.05", "1", "2.5", "10", "+Inf")]
        parts += [("_sum", ""), ("_count", "")]
        ids += [table.intern(metric, labels, suffix=suffix, le=le) for suffix, le in parts]
    return draw(st.permutations(list(dict.fromkeys(ids))))


def _values(draw: st.DrawFn, table: SeriesTable, ids: Sequence[int]) -> list[float]:
    """Draw values that the formats allow for these series."""
    counts: dict[tuple[Metric, tuple[str, ...]], int] = {}
    values: list[float] = []
    for number in ids:
        series = table[number]
        match series.metric.type:
            case MetricType.COUNTER:
                values.append(draw(COUNTS))
            case MetricType.INFO:
                values.append(1.0)
            case MetricType.HISTOGRAM:
                key = (series.metric, series.labels)
                count = counts.setdefault(key, draw(st.integers(0, 10)))
                bounded = float(series.le or "inf") < math.inf
                values.append(count * float(series.le) // 10 if bounded else float(count))
            case _:
                values.append(draw(NUMBERS))
    return values


@settings(max_examples=80)
@given(st.data())
async def test_official_parsers_read_what_the_frame_says(data: st.DataObject):
    """Over any sequence of frames and formats, one exporter's page is the frame, neither more."""
    table = SeriesTable()
    exporter, clock = await _exporter()
    pool = [data.draw(layouts(table)) for _ in range(data.draw(st.integers(1, 3)))]
    for _tick in range(data.draw(st.integers(1, 6))):
        ids = data.draw(st.sampled_from(pool))
        if data.draw(st.booleans()):
            ids = list(ids)  # the same series, prepared anew
        frame = Frame(clock.time(), table, ids, data.draw(st.composite(_values)(table, ids)))
        await exporter.publish(frame)
        clock.advance(0.25)
        for openmetrics in data.draw(st.lists(st.booleans(), max_size=3)):
            page = exporter.render(openmetrics=openmetrics).decode()
            parser: Parser = openmetrics_of if openmetrics else text_of
            assert _parsed(page, parser) == _expected(frame, 0.25)


async def test_a_page_of_each_format():
    """The two formats differ where they must: names of families, types of facts, units, the end."""
    table = SeriesTable()
    frame = _frame(
        table,
        (table.intern(catalog.BUILD_INFO, ("1.0",)), 1.0),
        (table.intern(catalog.TICKS), 3.0),
        (table.intern(catalog.TICK_DURATION), 0.25),
    )
    exporter, clock = await _exporter(frame)
    clock.advance(2.0)
    about = {metric: metric.help for metric in METRICS.values()}
    assert exporter.render(openmetrics=False).decode() == (
        f"# HELP inferwatch_ticks_total {about[catalog.TICKS]}\n"
        "# TYPE inferwatch_ticks_total counter\n"
        "inferwatch_ticks_total 3\n"
        f"# HELP inferwatch_tick_duration_seconds {about[catalog.TICK_DURATION]}\n"
        "# TYPE inferwatch_tick_duration_seconds gauge\n"
        "inferwatch_tick_duration_seconds 0.25\n"
        f"# HELP inferwatch_build_info {about[catalog.BUILD_INFO]}\n"
        "# TYPE inferwatch_build_info gauge\n"
        'inferwatch_build_info{version="1.0"} 1\n'
        f"# HELP inferwatch_frame_age_seconds {about[catalog.FRAME_AGE]}\n"
        "# TYPE inferwatch_frame_age_seconds gauge\n"
        "inferwatch_frame_age_seconds 2\n"
    )
    assert exporter.render(openmetrics=True).decode() == (
        f"# HELP inferwatch_ticks {about[catalog.TICKS]}\n"
        "# TYPE inferwatch_ticks counter\n"
        "inferwatch_ticks_total 3\n"
        f"# HELP inferwatch_tick_duration_seconds {about[catalog.TICK_DURATION]}\n"
        "# TYPE inferwatch_tick_duration_seconds gauge\n"
        "# UNIT inferwatch_tick_duration_seconds seconds\n"
        "inferwatch_tick_duration_seconds 0.25\n"
        f"# HELP inferwatch_build {about[catalog.BUILD_INFO]}\n"
        "# TYPE inferwatch_build info\n"
        'inferwatch_build_info{version="1.0"} 1\n'
        f"# HELP inferwatch_frame_age_seconds {about[catalog.FRAME_AGE]}\n"
        "# TYPE inferwatch_frame_age_seconds gauge\n"
        "# UNIT inferwatch_frame_age_seconds seconds\n"
        "inferwatch_frame_age_seconds 2\n"
        "# EOF\n"
    )


@pytest.mark.parametrize("openmetrics", [True, False])
async def test_the_whole_catalogue_is_valid(*, openmetrics: bool):
    """One series of every metric makes a page that the strict parser takes, type and help too."""
    table = SeriesTable()
    numbers = []
    for metric in METRICS.values():
        if metric is catalog.FRAME_AGE:
            continue
        labels = [f"{name}-1" for name in metric.labels]
        parts = [("", "")]
        if metric.type is MetricType.HISTOGRAM:
            parts = [("_bucket", "1"), ("_bucket", "+Inf"), ("_sum", ""), ("_count", "")]
        numbers += [table.intern(metric, labels, suffix=suffix, le=le) for suffix, le in parts]
    frame = _frame(table, *((number, 1.0) for number in numbers))
    exporter, _clock = await _exporter(frame)
    page = exporter.render(openmetrics=openmetrics).decode()
    assert _parsed(page, openmetrics_of if openmetrics else text_of) == _expected(frame, 0.0)
    families = {family.name: family for family in openmetrics_of(page)} if openmetrics else {}
    for metric in METRICS.values() if openmetrics else ():
        family = families[metric.family]
        assert (family.type, family.documentation) == (metric.type.value, metric.help)
        assert family.unit in ("", metric.unit)


async def test_families_are_in_the_order_of_the_catalogue():
    """Lines of a family stand together, in the catalogue's order, buckets by their bound."""
    table = SeriesTable()
    metric, gauge = HISTOGRAMS[0], next(iter(PEAKS))
    labels = ["a"] * len(metric.labels)
    bounds = ["+Inf", "10", "2.5", "1e-3"]
    ids = [table.intern(metric, labels, suffix="_count")]
    ids += [table.intern(metric, labels, suffix="_bucket", le=le) for le in bounds]
    ids += [table.intern(gauge, [name, *["x"] * (len(gauge.labels) - 1)]) for name in "ba"]
    exporter, _clock = await _exporter(_frame(table, *((number, 1.0) for number in ids)))
    lines = exporter.render(openmetrics=False).decode().splitlines()
    found = [line for line in lines if line.startswith(metric.name)]
    assert [line.rpartition('le="')[2].partition('"')[0] for line in found[:-1]] == [
        "1e-3", "2.5", "10", "+Inf",
    ]  # fmt: skip
    assert found[-1].startswith(metric.name + "_count")
    pair = [line for line in lines if line.startswith(gauge.name + "{")]
    assert pair == sorted(pair)
    kinds = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    order = list(METRICS)
    places = [order.index(kind) for kind in kinds[:-1]]
    assert places == sorted(places)


async def test_an_impossible_bucket_harms_no_other_line():
    """A bound that is no number does not keep the page from being rendered."""
    table = SeriesTable()
    labels = ["a"] * len(HISTOGRAMS[0].labels)
    odd = table.intern(HISTOGRAMS[0], labels, suffix="_bucket", le="many")
    exporter, _clock = await _exporter(
        _frame(table, (odd, 1.0), (table.intern(catalog.TICKS), 2.0))
    )
    assert "inferwatch_ticks_total 2\n" in exporter.render(openmetrics=False).decode()


async def test_lines_of_series_that_come_and_go():
    """A series that leaves and returns, or whose label has a percent sign, has its right line."""
    table = SeriesTable()
    ids = [table.intern(catalog.SOURCE_UP, (name,)) for name in ("100%", "%b%s%%", "c", "a")]
    exporter, _clock = await _exporter()
    for shown in (ids, ids[:2], ids[1:], ids[2:], ids, []):
        frame = _frame(table, *((number, float(number) + 0.5) for number in shown))
        await exporter.publish(frame)
        for openmetrics in (True, False):
            page = exporter.render(openmetrics=openmetrics).decode()
            found = _parsed(page, openmetrics_of if openmetrics else text_of)
            assert found == _expected(frame, 0.0)


async def test_numbers_are_written_ahead_for_those_who_ask_every_tick(
    monkeypatch: pytest.MonkeyPatch,
):
    """Numbers are written with the frame if the last one was asked for, else when asked for."""
    written: list[Sequence[float]] = []

    def note(values: Sequence[float]) -> Iterator[bytes]:
        written.append(values)
        return texts(values)

    texts = exposition._texts
    monkeypatch.setattr(exposition, "_texts", note)
    table = SeriesTable()
    ids = [table.intern(catalog.TICKS)]
    exporter, _clock = await _exporter()
    asked = [False, True, True, False, False, True]
    seen = []
    for tick, asks in enumerate(asked):
        await exporter.publish(Frame(NOW + tick, table, ids, [float(tick)]))
        seen.append(len(written))
        if asks:
            assert f"inferwatch_ticks_total {tick}\n" in exporter.render(openmetrics=True).decode()
    assert seen == [0, 0, 2, 3, 3, 3]
    assert written == [(1.0,), (2.0,), (3.0,), (5.0,)]


async def test_label_values_that_are_no_unicode():
    """Bytes that were no UTF-8 leave the page readable, and their series distinct."""
    table = SeriesTable()
    ids = [table.intern(catalog.SOURCE_UP, (name,)) for name in ("a\udcff", "a\udcfe", "ü")]
    exporter, _clock = await _exporter(_frame(table, *((number, 1.0) for number in ids)))
    page = exporter.render(openmetrics=True).decode()
    names = {key[1][0][1] for key in _parsed(page, openmetrics_of) if key[1]}
    assert names == {"a\\udcff", "a\\udcfe", "ü"}


@pytest.mark.parametrize("openmetrics", [True, False])
async def test_numbers_that_are_none(*, openmetrics: bool):
    """Infinite values and NaN are written as both formats have them, beside others and after."""
    table = SeriesTable()
    ids = [table.intern(catalog.SOURCE_UP, (name,)) for name in "abcd"]
    exporter, _clock = await _exporter()
    for values in ([math.inf, -math.inf, math.nan, 1.5], [1.0, math.nan, 2.0, -math.inf]):
        frame = Frame(NOW, table, ids, values)
        await exporter.publish(frame)
        page = exporter.render(openmetrics=openmetrics).decode()
        assert _parsed(page, openmetrics_of if openmetrics else text_of) == _expected(frame, 0.0)


async def test_before_the_first_frame():
    """Without a frame the page is empty, the age unknown, and OpenMetrics still has its end."""
    exporter, _clock = await _exporter()
    assert exporter.frame is None
    assert exporter.age() is None
    assert exporter.render(openmetrics=False).decode() == ""
    assert exporter.render(openmetrics=True).decode() == "# EOF\n"
    await exporter.aclose()


async def test_the_age_is_that_of_the_moment_of_asking():
    """The age grows between frames by the time that passes, also when the clock is set back."""
    table = SeriesTable()
    exporter, clock = await _exporter(_frame(table))
    for seconds, expected in ((0.0, "0"), (1.5, "1.5"), (100.0, "101.5")):
        clock.advance(seconds)
        clock.set_time(NOW - 3600.0)
        assert exporter.render(openmetrics=False).decode().endswith(f"age_seconds {expected}\n")
    assert exporter.age() == 101.5


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1.0, "1"), (-1.0, "-1"), (0.1, "0.1"), (1e300, "1e+300"), (1e16, "1e+16"),
        (123456789012345.0, "123456789012345"), (5e-324, "5e-324"), (True, "1"),
        (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"),
    ],
)  # fmt: skip
def test_numbers(value: float, text: str):
    """A number is written as short as it can be read back exactly."""
    assert format_value(value) == text


@given(st.floats(allow_nan=False))
def test_numbers_are_exact(value: float):
    """Reading a number back gives the same number."""
    assert float(format_value(value)) == value


PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/openmetrics-text", True),
        ("Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", True),
        (PROMETHEUS_3, True),
        ("application/openmetrics-text;q=0.5,text/plain;q=0.5", True),
        ("application/openmetrics-text;q=0.4,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0.4,text/*", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=x", False),
        ("application/openmetrics-text;q=nan", False),
        (",;,;q=1,", False),
    ],
)
def test_content_negotiation(accept: str, *, openmetrics: bool):
    """A client gets OpenMetrics when it says that it likes that at least as well as text."""
    assert accepts_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("accept", "gzip"),
    [
        ("gzip", True), ("GZIP, deflate", True), ("deflate, gzip;q=0.5", True), ("", False),
        ("identity", False), ("gzip;q=0", False), ("gzip;q=0.000", False), ("x-gzip-not", False),
    ],
)  # fmt: skip
def test_gzip_negotiation(accept: str, *, gzip: bool):
    """A client gets gzip when it takes it; a weight of zero is a refusal."""
    assert accepts_gzip(accept) is gzip


@given(st.text())
def test_any_header_is_understood_somehow(header: str):
    """No header, however strange, is an error."""
    assert accepts_openmetrics(header) in (True, False)
    assert accepts_gzip(header) in (True, False)
