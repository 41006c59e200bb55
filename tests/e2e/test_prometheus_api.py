"""The agent as a Prometheus: asked what a real one is asked, beside one that scrapes it."""

import contextlib
import json
import math
import random
import re
import shutil
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.queries.numbers import sample_text, scalar_text
from tests.e2e.process import AgentProcess, agent_process, free_port

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or shutil.which("promtool") is None,
        reason="needs prometheus and promtool on the PATH",
    ),
]

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
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Server:
    """Whoever speaks the API."""

    url: str

    def ask(self, path: str, form: list[tuple[str, str]] | None = None) -> tuple[int, Any]:
        """Return status and JSON of an answer; a form is sent by POST."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data)
        try:
            with _DIRECT.open(request, timeout=40) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def query(self, text: str, **further: str) -> Any:
        """Return the data of an instant query."""
        status, answer = self.ask("query", [("query", text), *further.items()])
        assert status == 200, answer
        return answer["data"]

    def wait_for(self, text: str) -> Any:
        """Return the first result that is not empty."""
        end = time.monotonic() + 30.0
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                found = self.query(text)["result"]
                if found:
                    return found
            time.sleep(0.2)
        raise AssertionError(f"{self.url} never had an answer to {text}")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """The demo, as `make demo` runs it."""
    port = free_port()
    folder = tmp_path_factory.mktemp("demo")
    with agent_process(folder, "demo", "--listen", f"127.0.0.1:{port}", port=port) as agent:
        yield agent


@pytest.fixture(scope="module")
def agent(demo: AgentProcess) -> Server:
    """Its API."""
    return Server(demo.url)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, demo: AgentProcess) -> Iterator[Server]:
    """A Prometheus that scrapes the demo every second, and federates it."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(port=demo.url.rpartition(":")[2]))
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            server = Server(f"http://127.0.0.1:{port}")
            server.wait_for("inferwatch_gpus{by=''}")
            yield server
        finally:
            process.terminate()
            process.wait(timeout=10)


def _now() -> float:
    """Return Unix seconds: those who ask have clocks of their own."""
    return time.time()  # noqa: TID251


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
def test_instant_queries_have_the_same_series(agent: Server, prometheus: Server, query: str):
    """The same labels, and the same shape of the answer."""
    agent.wait_for(query)
    prometheus.wait_for(query)
    ours, theirs = agent.query(query), prometheus.query(query)
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


def test_ranges_have_the_same_shape_and_grid(agent: Server, prometheus: Server):
    """Times of the same grid, values as strings."""
    now = int(_now())
    form = [("query", "inferwatch_gpus{by=''}"), ("start", str(now - 30)), ("end", str(now)),
            ("step", "500ms")]  # fmt: skip
    answers = [server.ask("query_range", form)[1] for server in (agent, prometheus)]

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
def test_errors_have_the_same_status_and_kind(agent: Server, prometheus: Server, path: str):
    """And the same words, but where a parser speaks."""
    path = urllib.parse.quote(path, safe="/?=&[]%'(")
    (status, ours), (expected, theirs) = agent.ask(path), prometheus.ask(path)

    assert (status, ours["status"], ours.get("errorType")) == (
        expected,
        theirs["status"],
        theirs.get("errorType"),
    )
    parser = re.search(
        r"parse error|invalid expression type|found duplicate series", theirs.get("error", "")
    )
    if parser is None:
        assert ours.get("error") == theirs.get("error")


def test_numbers_are_written_as_prometheus_writes_them(prometheus: Server):
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
        found = prometheus.query(query)["result"]
        texts = {int(one["metric"]["i"]): one["value"][1] for one in found}
        assert [texts[place] for place in range(len(part))] == [*map(sample_text, part)]
    for value in (*values[:5], *values[-12:]):
        assert prometheus.query(_literal(value))["result"][1] == scalar_text(value)


def _literal(value: float) -> str:
    """Return a number as a query has it."""
    return "Inf" if value == math.inf else "-Inf" if value == -math.inf else repr(value)


def test_what_there_is_has_the_same_shape(agent: Server, prometheus: Server):
    """Series, names, values, metadata, targets: the same keys and kinds."""
    now = _now()
    span = f"start={now - 60:.3f}&end={now:.3f}"
    for path in (
        f"series?match[]=inferwatch_gpus&match[]=inferwatch_engine_up&{span}",
        f"labels?{span}",
        "label/gpu/values?match[]=inferwatch_gpu_memory_used_bytes",
        "label/nothing/values",
        "metadata?metric=inferwatch_gpu_memory_used_bytes",
        "query_exemplars?query=up&start=0&end=1",
        "format_query?query=sum(up)by(job)",
    ):
        (status, ours), (expected, theirs) = agent.ask(path), prometheus.ask(path)
        assert status == expected == 200
        theirs["data"] = _without_federation(theirs["data"])
        if path.startswith("labels"):
            assert {"gpu", "engine", "instance", "job", "le"} <= {*ours["data"], *theirs["data"]}
        elif "metadata" not in path:
            assert ours["data"] == theirs["data"]
        assert _shape(ours) == _shape(theirs), path
    for path in ("targets", "rules", "alerts", "status/buildinfo"):
        ours, theirs = agent.ask(path)[1], prometheus.ask(path)[1]
        assert ours["status"] == theirs["status"]
        assert _shape(theirs["data"]).keys() <= _shape(ours["data"]).keys()
    ours, theirs = (
        server.ask("targets")[1]["data"]["activeTargets"][0] for server in (agent, prometheus)
    )
    assert ours.keys() == theirs.keys()
    assert ours["labels"] == {"job": "inferwatch", "instance": "recording"}


def _without_federation(data: Any) -> Any:
    """Return what does not come from the federation."""
    if isinstance(data, list):
        return [one for one in data if not isinstance(one, dict) or "by" not in one]
    return data


def test_prometheus_federates_the_agent(agent: Server, prometheus: Server):
    """With the agent's own labels and times, alerts included."""
    (found,) = prometheus.wait_for("inferwatch_gpus{by='federation'}")

    assert found["metric"] == {
        "__name__": "inferwatch_gpus",
        "by": "federation",
        "instance": "recording",
        "job": "inferwatch",
    }
    assert prometheus.query("up{job='federate'}")["result"][0]["value"][1] == "1"
    agent.wait_for("ALERTS")
    prometheus.wait_for("ALERTS{by='federation'}")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("instant", "URL", "inferwatch_gpus"), r"inferwatch_gpus\{.*\} => 2 @\[\d+"),
        (("instant", "URL", "1 + 1"), r"scalar: 2 @\[\d+"),
        (("range", "--start=START", "--end=END", "--step=1s", "URL", "inferwatch_gpus"),
         r"inferwatch_gpus\{.*\} =>\n2 @\[\d+"),
        (("series", "--match=inferwatch_gpus", "--match=up", "URL"),
         r'\{__name__="inferwatch_gpus".*\}\n\{__name__="up".*\}'),
        (("labels", "URL", "job"), r"^inferwatch\n"),
    ],
)  # fmt: skip
def test_promtool_asks_the_agent(agent: Server, arguments: tuple[str, ...], expected: str):
    """As it asks a Prometheus, with its Go client."""
    agent.wait_for("inferwatch_gpus")
    now = _now()
    filled = [
        one.replace("URL", agent.url)
        .replace("START", f"{now - 5:.3f}")
        .replace("END", f"{now:.3f}")
        for one in arguments
    ]
    done = subprocess.run(
        ["promtool", "query", *filled], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 0, done.stderr
    assert re.search(expected, done.stdout), done.stdout


def test_what_grafana_asks_on_start_and_in_its_query_builder(agent: Server):
    """Its data source saves, completes names and values, and draws."""
    agent.wait_for("inferwatch_gpus")
    now = _now()
    span = [("start", f"{now - 3600:.3f}"), ("end", f"{now:.3f}")]
    query = urllib.parse.urlencode(span)

    assert (
        agent.ask("query", [("query", "1+1"), ("time", f"{now:.3f}")])[1]["data"]["result"][1]
        == "2"
    )
    assert agent.ask("status/buildinfo")[1]["data"]["version"].startswith("3.")
    metadata = agent.ask("metadata?limit=40000")[1]["data"]
    assert metadata["inferwatch_ticks_total"][0]["type"] == "counter"
    names = agent.ask(f"label/__name__/values?{query}&limit=40000")[1]["data"]
    assert {*metadata} <= {*names} | {"inferwatch_frame_age_seconds"} | {
        name for name, told in metadata.items() if told[0]["type"] == "histogram"
    }
    match = ("match[]", '{__name__="inferwatch_gpu_memory_used_bytes"}')
    assert "gpu" in agent.ask("labels", [*span, match])[1]["data"]
    values = f"label/gpu/values?{query}&{urllib.parse.urlencode([match])}"
    assert agent.ask(values)[1]["data"] == ["0", "1"]
    assert len(agent.ask("series", [*span, match])[1]["data"]) == 2
    drawn = [("query", "rate(inferwatch_ticks_total[1m])"), *span, ("step", "15")]
    assert agent.ask("query_range", drawn)[1]["data"]["resultType"] == "matrix"
    assert agent.ask("query_exemplars", [("query", "up"), *span])[1]["data"] == []
    assert agent.ask("rules")[1]["data"]["groups"]


def test_what_would_break_it_does_not(demo: AgentProcess, agent: Server):
    """A megabyte of query, endless patterns and ranges, a hundred at once: the ticks go on."""
    agent.wait_for("inferwatch_ticks_total")
    begun = demo.value("inferwatch_ticks_total")
    assert agent.ask("query", [("query", "1+" * 30_000 + "1")])[0] == 400
    assert agent.ask("query", [("query", "x" * 2**20)])[0] == 413
    assert agent.ask("query", [("query", "(" * 60_000)])[0] == 400
    assert (
        agent.ask("query", [("query", "{__name__=~'(([a-z_]+)+)+0'}"), ("timeout", "1s")])[0] == 503
    )
    assert agent.ask("query", [("query", "sum_over_time(vector(1)[1y:1s])"), ("timeout", "1s")])[
        0
    ] in (422, 503)
    statuses: list[int] = []

    def ask() -> None:
        form = [("query", "max_over_time(count({__name__=~'inferwatch_.*'})[1m:1s])")]
        statuses.append(agent.ask("query", form)[0])

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {*statuses} <= {200, 503}
    assert 200 in statuses
    assert statuses.count(503) >= 1
    assert (demo.value("inferwatch_ticks_total") or 0) > (begun or 0)
    assert demo.value("inferwatch_ticks_skipped_total") in (0.0, None)
    agent.wait_for("up")


def test_a_live_agent_reads_its_file_and_leaves_nothing_behind(tmp_path: Path):
    """What a run before has left is there; the process ends with the agent."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f"history: {{path: {tmp_path / 'h.db'}}}\n"
        "exporters: {http_api: {queries: {timeout: 5s, samples: 50}}}\n"
    )
    for run in range(2):
        port = free_port()
        arguments = ("run", "--config", str(config), "--listen", f"127.0.0.1:{port}")
        with agent_process(tmp_path, *arguments, port=port) as running:
            server = Server(running.url)
            server.wait_for("inferwatch_ticks_total")
            restarts = server.query("count_over_time(up[10m])")["result"][0]["value"][1]
            status, refused = server.ask("query?query=%7Bjob%21%3D%22%22%7D%5B1h%5D")
            children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
            pids = children.read_text().split()
            assert running.stop() == 0
        assert int(restarts) >= run + 1
        assert (status, refused["errorType"]) == (422, "execution")
        assert pids
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
