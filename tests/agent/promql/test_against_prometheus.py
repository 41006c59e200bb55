"""Random queries on random samples: a real Prometheus has the same answers."""

import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from agent.promql import PromqlError, Vector, evaluate_instant, evaluate_range, parse
from agent.store.series import Labels
from tests.agent.promql.grammar import (
    LENGTH,
    START,
    Grammar,
    in_version_2,
    open_metrics,
    samples,
    source_of,
)
from tests.e2e.prometheus import Server, prometheus
from tests.promqltest.memory import MemorySource, labelled
from tests.servers import NEEDS_PROMETHEUS, NEEDS_PROMETHEUS_3, PROMTOOL, VERSION

pytestmark = [pytest.mark.server, NEEDS_PROMETHEUS]

QUERIES = 3000
RANGES = 400
SEED = 20_231_114

Answer = dict[Labels, list[tuple[float, float]]]


@dataclass
class History:
    """Samples, and who answers for them.

    Attributes:
        source: asked by us.
        server: asked over the API.
        alone: the samples lie on boundaries, for queries that version 3 alone answers as we do.
    """

    source: MemorySource
    server: Server
    alone: bool

    def query(self, text: str, **parameters: object) -> Answer | None:
        """Return what the server answers; None where it refuses."""
        text = text if VERSION >= (3, 0) else in_version_2(text)
        path = "query_range" if "step" in parameters else "query"
        return _asked(self.server, path, query=text, **parameters)

    def time(self, random: Random, first: int = 0) -> float:
        """Return a time of the samples, on a full second or, for every version, a quarter off."""
        return START + random.randrange(first, LENGTH) + (0.0 if self.alone else 0.25)


def _asked(server: Server, path: str, **parameters: object) -> Answer | None:
    """Return series of samples, or None where the query is refused."""
    status, answer = server.ask(path, [(name, str(value)) for name, value in parameters.items()])
    if status != 200:
        return None
    return {_labels(item): _points(item) for item in answer["data"]["result"]}


def _labels(item: dict[str, Any]) -> Labels:
    """Return the labels of a series of the API."""
    return tuple(sorted(item["metric"].items()))


def _points(item: dict[str, Any]) -> list[tuple[float, float]]:
    """Return the samples of a series of the API."""
    points = item["values"] if "values" in item else [item["value"]]
    return [(time, float(value)) for time, value in points]


@pytest.fixture(
    scope="module",
    params=[False, pytest.param(True, marks=NEEDS_PROMETHEUS_3)],
    ids=["every version", "version 3 alone"],
)
def history(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[History]:
    """The same samples here and there."""
    folder = tmp_path_factory.mktemp("prometheus")
    found = samples(Random(SEED), alone=request.param)
    text, data = folder / "samples.om", folder / "data"
    text.write_text(open_metrics(found))
    create = [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", text, data]
    subprocess.run(create, check=True, capture_output=True, timeout=60)
    options = ["--enable-feature=promql-experimental-functions"] if VERSION >= (3, 0) else []
    with prometheus(folder, "global: {evaluation_interval: 1m}\n", *options, data=data) as server:
        yield History(source_of(found), server, request.param)


def _same(ours: Answer | None, theirs: Answer | None) -> bool:
    """Return whether two answers are equal but for rounding."""
    if ours is None or theirs is None:
        return ours is theirs
    return ours.keys() == theirs.keys() and all(
        len(points) == len(theirs[labels])
        and all(
            at == when
            and (
                math.isclose(a, b, rel_tol=1e-7, abs_tol=1e-7) or (math.isnan(a) and math.isnan(b))
            )
            for (at, a), (when, b) in zip(points, theirs[labels], strict=True)
        )
        for labels, points in ours.items()
    )


def _instant(source: MemorySource, text: str, at: float) -> Answer | None:
    """Return our answer in the shape of theirs."""
    try:
        found = evaluate_instant(parse(text, experimental=True), source, at)
    except PromqlError:
        return None
    assert isinstance(found, Vector)
    return {labels: [(at, value)] for labels, value in found}


def _range(source: MemorySource, text: str, start: float, end: float, step: float) -> Answer | None:
    """Return our answer to a range query in the shape of theirs."""
    try:
        found = evaluate_range(parse(text, experimental=True), source, start, end, step)
    except PromqlError:
        return None
    return {item.labels: [*zip(item.times, item.values, strict=True)] for item in found.series}


def test_instant_queries(history: History):
    """Queries from a grammar give the same series and values at a time, or fail on both sides."""
    random = Random(SEED)
    grammar = Grammar(random, alone=history.alone)
    wrong, filled, unasked = [], 0, 0
    for _ in range(QUERIES):
        text = grammar.vector(random.randrange(4))
        at = history.time(random, 300)
        ours = _instant(history.source, text, at)
        theirs = history.query(text, time=at)
        filled += bool(theirs)
        if ours == {} and theirs is None:
            unasked += 1
        elif not _same(ours, theirs):
            wrong.append((text, at, ours, theirs))
    assert not wrong, f"{len(wrong)} differ, first {wrong[0]}"
    assert filled > QUERIES / 2
    # Where one operand is empty the other is not looked at, and what is wrong with it not told.
    assert unasked < QUERIES / 100


def test_range_queries(history: History):
    """Queries from a grammar give the same series over time, or fail on both sides."""
    random = Random(SEED + 1)
    grammar = Grammar(random, alone=history.alone)
    wrong = []
    for _ in range(RANGES):
        text = grammar.vector(random.randrange(3))
        start, step = history.time(random), random.choice((7, 15, 60))
        end = start + 8 * step + 3
        ours = _range(history.source, text, start, end, step)
        theirs = history.query(text, start=start, end=end, step=step)
        if not _same(ours, theirs) and (ours or theirs is not None):
            wrong.append((text, start, step, ours, theirs))
    assert not wrong, f"{len(wrong)} differ, first {wrong[0]}"


def test_an_instant_before_all_samples_is_empty(history: History):
    """Where there is nothing both sides say nothing, and `absent` says so."""
    for text, wanted in (("temp", {}), ('absent(temp{host="a"})', {labelled(host="a"): 1.0})):
        theirs = history.query(text, time=START - 1000)
        assert theirs is not None
        assert {labels: points[0][1] for labels, points in theirs.items()} == wanted
        assert _same(_instant(history.source, text, START - 1000), theirs)


@pytest.mark.parametrize(
    "text",
    [
        "sort(temp)",
        "sort_desc(-temp)",
        "sort(odd)",
        "topk(3, temp)",
        "bottomk by (host) (2, temp)",
        pytest.param('sort_by_label(temp, "zone")', marks=NEEDS_PROMETHEUS_3),
        pytest.param('sort_by_label_desc(temp, "zone", "gpu")', marks=NEEDS_PROMETHEUS_3),
        pytest.param(
            'sort_by_label(label_replace(temp, "gpu", "1${1}0", "gpu", "([12])"), "gpu", "host")',
            marks=NEEDS_PROMETHEUS_3,
        ),
    ],
)
def test_order(history: History, text: str):
    """What sorts gives the series in the same order."""
    at = START + LENGTH - 0.75
    _status, answer = history.server.ask("query", [("query", text), ("time", str(at))])
    ours = evaluate_instant(parse(text, experimental=True), history.source, at)
    assert isinstance(ours, Vector)
    assert [labels for labels, _ in ours] == [*map(_labels, answer["data"]["result"])]
