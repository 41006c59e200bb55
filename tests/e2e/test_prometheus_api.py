"""The agent as a Prometheus: asked what a real one is asked, beside one that scrapes it."""

import math
import random
import re
import struct
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from agent.queries.numbers import sample_text, scalar_text
from tests.e2e.process import AgentProcess
from tests.e2e.prometheus import Server, now, prometheus
from tests.servers import NEEDS_PROMETHEUS

pytestmark = [pytest.mark.server, NEEDS_PROMETHEUS]

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: inferwatch
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{instance: recording}}}}]
  - job_name: federate
    honor_labels: true
    metrics_path: /federate
    params: {{"match[]": ['{{__name__=~"inferwatch_gpu.*"}}', 'ALERTS']}}
    metric_relabel_configs:
      - {{action: replace, target_label: by, replacement: federation}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, demo: AgentProcess) -> Iterator[Server]:
    """A Prometheus that scrapes the demo every second, and federates it."""
    config = CONFIG.format(port=demo.url.rpartition(":")[2])
    with prometheus(tmp_path_factory.mktemp("prometheus"), config) as server:
        server.wait_for("inferwatch_gpus{by=''}")
        yield server


def _shape(value: Any) -> Any:
    """Return what kinds of things an answer consists of; numbers in strings are one kind."""
    if isinstance(value, dict):
        return {key: _shape(part) for key, part in value.items() if key != "infos"}
    if isinstance(value, list):
        shapes: list[Any] = []
        for part in map(_shape, value):
            if part not in shapes:
                shapes.append(part)
        return shapes
    return "number" if isinstance(value, int | float) else type(value).__name__


@pytest.mark.parametrize(
    "query",
    [
        "inferwatch_gpus",
        "inferwatch_engine_max_num_seqs",
        "sum by (gpu, job, instance) (inferwatch_gpu_memory_used_bytes)",
        "rate(inferwatch_ticks_total[5s]) > 0",
        (
            "histogram_quantile(0.9, sum by (le, engine) "
            "(inferwatch_engine_time_to_first_token_seconds_bucket))"
        ),
        "count by (__name__) ({__name__=~'inferwatch_engine_(up|info|requests_.*)', by=''})",
        (
            "inferwatch_engine_kv_cache_usage_ratio * on (engine, instance_name) "
            "group_left (version) inferwatch_engine_info{model!=''}"
        ),
        "up{job='inferwatch'}",
        "vector(1) or absent(nothing{a='b'})",
        "1e3",
        "'text'",
    ],
)
def test_instant_queries_have_the_same_series(agent: Server, real: Server, query: str):
    """The same labels, and the same shape of the answer."""
    agent.wait_for(query)
    real.wait_for(query)
    ours, theirs = agent.query(query), real.query(query)
    if ours["resultType"] == "vector":
        labels = [
            sorted(
                sorted(one["metric"].items())
                for one in found["result"]
                if one["metric"].get("by") is None
            )
            for found in (ours, theirs)
        ]
        assert labels[0] == labels[1]
    assert _shape(ours["resultType"]) == _shape(theirs["resultType"])
    if ours["resultType"] != "vector":
        assert ours["result"][1] == theirs["result"][1]


def test_ranges_have_the_same_shape_and_grid(agent: Server, real: Server):
    """Times of the same grid, values as strings."""
    # Whoever is asked first has only just begun to scrape.
    real.wait_for("count_over_time(inferwatch_gpus{by=''}[1m]) > 2")
    moment = int(now())
    form = [("query", "inferwatch_gpus{by=''}"), ("start", str(moment - 30)), ("end", str(moment)),
            ("step", "500ms")]  # fmt: skip
    answers = [server.ask("query_range", form)[1] for server in (agent, real)]

    assert _shape(answers[0]) == _shape(answers[1])
    for answer in answers:
        (series,) = answer["data"]["result"]
        assert all((stamp * 2).is_integer() for stamp, _value in map(_floats, series["values"]))
        assert {value for _stamp, value in series["values"]} == {"2"}


def _floats(pair: list[Any]) -> tuple[float, str]:
    """Return a sample."""
    return float(pair[0]), pair[1]


@pytest.mark.parametrize(
    "path",
    [
        "query?query=",
        "query?query=sum(",
        "query?query=1&time=foo",
        "query?query=1&timeout=foo",
        "query_range?query=1&start=1&end=0&step=1",
        "query_range?query=1&start=0&end=1&step=0",
        "query_range?query=1&start=0&end=1&step=foo",
        "query_range?query=1&start=0&end=1",
        "query_range?query=1&start=&end=1&step=1",
        "query_range?query=1&start=0&end=11001&step=1",
        "query_range?query='x'&start=0&end=1&step=1",
        "query_range?query=up[5m]&start=0&end=1&step=1",
        "query?query=inferwatch_gpu_memory_used_bytes%2Bon(job)inferwatch_gpu_memory_used_bytes",
        "series",
        "series?match[]=",
        "series?match[]=sum(up)",
        "series?match[]=up&start=foo",
        "label/job/values?start=foo",
        "rules?type=foo",
    ],
)
def test_errors_have_the_same_status_and_kind(agent: Server, real: Server, path: str):
    """And the same words, but where a parser speaks."""
    path = urllib.parse.quote(path, safe="/?=&[]%'(")
    (status, ours), (expected, theirs) = agent.ask(path), real.ask(path)

    assert (status, ours["status"], ours.get("errorType")) == (
        expected,
        theirs["status"],
        theirs.get("errorType"),
    )
    parser = re.search(
        r"parse error|invalid expression type|found duplicate series", theirs.get("error", "")
    )
    if parser is None:
        # Version 2 began one sentence within another with a capital.
        said = theirs.get("error", "").replace("Invalid time value", "invalid time value")
        assert ours.get("error", "") == said


def test_numbers_are_written_as_prometheus_writes_them(real: Server):
    """Random bits, and the places where the format changes."""
    source = random.Random(14)
    values = [struct.unpack("<d", source.randbytes(8))[0] for _ in range(400)]
    values += [source.choice((1, -1)) * 10 ** source.uniform(-9, 23) for _ in range(300)]
    values += [round(source.uniform(-1e6, 1e6), source.randrange(6)) for _ in range(200)]
    values += [1e21, math.nextafter(1e21, 0), 1e-6, math.nextafter(1e-6, 0), 1e-7, 0.0, 1e15, 1e16]
    values = [value for value in values if not math.isnan(value)] + [math.inf, -math.inf]
    for begin in range(0, len(values), 300):
        part = values[begin : begin + 300]
        query = " or ".join(
            f'label_replace(vector({_literal(value)}), "i", "{place}", "", "")'
            for place, value in enumerate(part)
        )
        found = real.query(query)["result"]
        texts = {int(one["metric"]["i"]): one["value"][1] for one in found}
        assert [texts[place] for place in range(len(part))] == [*map(sample_text, part)]
    for value in (*values[:5], *values[-12:]):
        assert real.query(_literal(value))["result"][1] == scalar_text(value)


def _literal(value: float) -> str:
    """Return a number as a query has it."""
    return "Inf" if value == math.inf else "-Inf" if value == -math.inf else repr(value)


def test_what_there_is_has_the_same_shape(agent: Server, real: Server):
    """Series, names, values, metadata, targets: the same keys and kinds."""
    moment = now()
    span = f"start={moment - 60:.3f}&end={moment:.3f}"
    for path in (
        f"series?match[]=inferwatch_gpus&match[]=inferwatch_engine_up&{span}",
        f"labels?{span}",
        "label/gpu/values?match[]=inferwatch_gpu_memory_used_bytes",
        "label/nothing/values",
        "metadata?metric=inferwatch_gpu_memory_used_bytes",
        "query_exemplars?query=up&start=0&end=1",
        "format_query?query=sum(up)by(job)",
    ):
        (status, ours), (expected, theirs) = agent.ask(path), real.ask(path)
        assert status == expected == 200
        theirs["data"] = _without_federation(theirs["data"])
        if path.startswith("labels"):
            assert {"gpu", "engine", "instance", "job", "le"} <= {*ours["data"], *theirs["data"]}
        elif "metadata" not in path:
            assert ours["data"] == theirs["data"]
        assert _shape(ours) == _shape(theirs), path
    for path in ("targets", "rules", "alerts", "status/buildinfo"):
        ours, theirs = agent.ask(path)[1], real.ask(path)[1]
        assert ours["status"] == theirs["status"]
        assert _shape(theirs["data"]).keys() <= _shape(ours["data"]).keys()
    ours, theirs = (
        server.ask("targets")[1]["data"]["activeTargets"][0] for server in (agent, real)
    )
    assert ours.keys() == theirs.keys()
    assert ours["labels"] == {"job": "inferwatch", "instance": "recording"}


def _without_federation(data: Any) -> Any:
    """Return what does not come from the federation."""
    if isinstance(data, list):
        return [one for one in data if not isinstance(one, dict) or "by" not in one]
    return data


def test_prometheus_federates_the_agent(agent: Server, real: Server):
    """With the agent's own labels and times, alerts included."""
    (found,) = real.wait_for("inferwatch_gpus{by='federation'}")

    assert found["metric"] == {
        "__name__": "inferwatch_gpus",
        "by": "federation",
        "instance": "recording",
        "job": "inferwatch",
    }
    assert real.query("up{job='federate'}")["result"][0]["value"][1] == "1"
    agent.wait_for("ALERTS")
    real.wait_for("ALERTS{by='federation'}")
