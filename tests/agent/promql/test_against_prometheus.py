"""Random queries on random samples: a real Prometheus has the same answers."""

import math
import subprocess
from collections.abc import Iterator
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
from tests.e2e.prometheus import NEEDED, Server, prometheus
from tests.promqltest.memory import MemorySource, labelled

pytestmark = [pytest.mark.server, NEEDED]

QUERIES = 3000
RANGES = 400
SEED = 20_231_114

Answer = dict[Labels, list[tuple[float, float]]]


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


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MemorySource, Server]]:
    """The same samples here and there."""
    folder = tmp_path_factory.mktemp("prometheus")
    found = samples(Random(SEED))
    text, data = folder / "samples.om", folder / "data"
    text.write_text(open_metrics(found))
    create = ["promtool", "tsdb", "create-blocks-from", "openmetrics", text, data]
    subprocess.run(create, check=True, capture_output=True, timeout=60)
    with prometheus(folder, "global: {evaluation_interval: 1m}\n") as server:
        yield source_of(found), server


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


def test_instant_queries(history: tuple[MemorySource, Server]):
    """Queries from a grammar give the same series and values at a time, or fail on both sides."""
    source, server = history
    random = Random(SEED)
    grammar = Grammar(random)
    wrong, filled, unasked = [], 0, 0
    for _ in range(QUERIES):
        text = grammar.vector(random.randrange(4))
        # A quarter second off: steps of subqueries are full seconds, ends of ranges then not.
        at = START + random.randrange(300, LENGTH) + 0.25
        ours = _instant(source, text, at)
        theirs = _asked(server, "query", query=in_version_2(text), time=at)
        filled += bool(theirs)
        if ours == {} and theirs is None:
            unasked += 1
        elif not _same(ours, theirs):
            wrong.append((text, at, ours, theirs))
    assert not wrong, f"{len(wrong)} differ, first {wrong[0]}"
    assert filled > QUERIES / 2
    # Where one operand is empty the other is not looked at, and what is wrong with it not told.
    assert unasked < QUERIES / 100


def test_range_queries(history: tuple[MemorySource, Server]):
    """Queries from a grammar give the same series over time, or fail on both sides."""
    source, server = history
    random = Random(SEED + 1)
    grammar = Grammar(random)
    wrong = []
    for _ in range(RANGES):
        text = grammar.vector(random.randrange(3))
        start, step = START + random.randrange(LENGTH) + 0.25, random.choice((7, 15, 60))
        end = start + 8 * step + 3
        ours = _range(source, text, start, end, step)
        theirs = _asked(
            server, "query_range", query=in_version_2(text), start=start, end=end, step=step
        )
        if not _same(ours, theirs) and (ours or theirs is not None):
            wrong.append((text, start, step, ours, theirs))
    assert not wrong, f"{len(wrong)} differ, first {wrong[0]}"


def test_an_instant_before_all_samples_is_empty(history: tuple[MemorySource, Server]):
    """Where there is nothing both sides say nothing, and `absent` says so."""
    source, server = history
    for text, wanted in (("temp", {}), ('absent(temp{host="a"})', {labelled(host="a"): 1.0})):
        theirs = _asked(server, "query", query=in_version_2(text), time=START - 1000)
        assert theirs is not None
        assert {labels: points[0][1] for labels, points in theirs.items()} == wanted
        assert _same(_instant(source, text, START - 1000), theirs)
