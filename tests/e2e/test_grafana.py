"""What Grafana's Prometheus data source asks, as it asks it, and what its code takes for an answer.

Requests as of grafana-prometheus-datasource (August 2026) and `@grafana/prometheus` 13.2: the part
in Go sends queries, and passes on what the one in the browser asks about names.
"""

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.prometheus import Server, now

HOUR = 3600.0
# Whatever proxy this machine is told to use, the agent is on it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_BROWSER = {"Accept": "application/json, text/plain, */*", "X-Grafana-Org-Id": "1"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    text: str

    @property
    def data(self) -> Any:
        """The data of an answer that is one."""
        told = json.loads(self.text)
        assert (self.status, told["status"]) == (200, "success"), self.text[:500]
        return told["data"]


def send(agent: Server, path: str, form: dict[str, str], *, method: str = "POST") -> Answer:
    """Send parameters as a form, or behind the address."""
    url, body = f"{agent.url}/api/v1/{path}", urllib.parse.urlencode(form)
    headers = dict(_BROWSER)
    data = None
    if method == "POST":
        data = body.encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif body:
        url += f"{'&' if '?' in url else '?'}{body}"
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with _DIRECT.open(request, timeout=40) as answer:
            return Answer(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode())


def frames(answer: Answer) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
    """Return series and points as the data source reads them: numbers are texts, times are not."""
    data = answer.data
    assert [*data][:2] == ["resultType", "result"]  # in this order they are read without a copy
    kind, result = data["resultType"], data["result"]
    if kind in {"scalar", "string"}:
        return [({}, [_point(result)])] if kind == "scalar" else []
    assert kind in {"vector", "matrix"}
    found = []
    for one in result:
        assert all(isinstance(text, str) for pair in one["metric"].items() for text in pair)
        points = one["values"] if kind == "matrix" else [one["value"]]
        found.append((one["metric"], [_point(point) for point in points]))
    return found


def _point(point: Any) -> tuple[float, float]:
    """Return a time and a value."""
    time, value = point
    assert isinstance(time, int | float)
    assert isinstance(value, str)
    return float(time), float(value)


@pytest.fixture(scope="module")
def filled(agent: Server) -> Server:
    """The agent, once it has what is asked for."""
    agent.wait_for("rate(inferwatch_ticks_total[1m])")
    return agent


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_saving_the_data_source(filled: Server, method: str):
    """A query in 1970, and a version without features, by which it is told from Mimir."""
    (found,) = frames(send(filled, "query", {"query": "1+1", "time": "4"}, method=method))
    assert found == ({}, [(4.0, 2.0)])
    told = send(filled, "status/buildinfo", {}, method="GET").data
    assert "features" not in told
    assert all(isinstance(told[key], str) for key in ("version", "revision", "branch", "goVersion"))


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_panels(filled: Server, method: str):
    """Instant queries have all digits of a time, ranges a step in seconds, both a timeout."""
    moment = now()
    (instant,) = frames(
        send(
            filled,
            "query",
            {"query": "inferwatch_gpus", "time": f"{moment:.7f}", "timeout": "30s"},
            method=method,
        )
    )
    assert instant[0]["__name__"] == "inferwatch_gpus"
    assert instant[1][0][1] == 2.0
    end = moment // 15 * 15 + 15
    spanned = {"start": f"{end - HOUR:.0f}", "end": f"{end:.0f}", "step": "15", "timeout": "30s"}
    form = {"query": "rate(inferwatch_ticks_total[1m0s])", **spanned}
    (_labels, points) = frames(send(filled, "query_range", form, method=method))[0]
    assert all(time % 15 == 0 for time, _value in points)
    form = {"query": "vector(0/0)", **spanned}
    (_labels, points) = frames(send(filled, "query_range", form, method=method))[0]
    assert all(math.isnan(value) for _time, value in points)
    assert frames(send(filled, "query", {"query": '"x"', "time": "4"}, method=method)) == []


def test_parameters_that_are_configured_stand_behind_the_address(filled: Server):
    """Custom ones, the statistics and thresholds of Mimir go with every request, forms included."""
    further = "query?max_source_resolution=5m&stats=all&max_samples_processed_error_threshold=10"
    (found,) = frames(send(filled, further, {"query": "1", "time": "4"}))
    assert found[1] == [(4.0, 1.0)]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("sum(", 400),
        ("sum by (a) (1)", 400),
        ("inferwatch_gpu_power_watts / on () inferwatch_gpu_power_watts", 422),
    ],
)
def test_what_is_wrong_with_a_query_is_read_where_it_stands(
    filled: Server, query: str, status: int
):
    """Of 400, 422 and 503 the type and the text are shown; of anything else the raw answer."""
    answer = send(filled, "query", {"query": query, "time": f"{now():.3f}"})
    told = json.loads(answer.text)
    assert (answer.status, told["status"]) == (status, "error")
    assert told["error"]
    assert told["errorType"] == {400: "bad_data", 422: "execution"}[status]


def test_a_long_query_by_get(filled: Server):
    """A data source whose method is GET asks for panels of many values too."""
    values = "|".join(f"gpu-{number:05}" for number in range(6000))
    assert 59_000 < len(values) < 65_000
    form = {"query": f'inferwatch_gpus{{instance!~"{values}"}}', "time": f"{now():.3f}"}
    assert len(frames(send(filled, "query", form, method="GET"))) == 1


def test_exemplars(filled: Server):
    """Asked for in milliseconds when the data source is opened, and beside panels: no exemplars."""
    moment = now() * 1000
    form = {"query": "test", "start": f"{moment - 1.8e6:.0f}", "end": f"{moment:.0f}"}
    assert send(filled, "query_exemplars", form).data == []
    spanned = {"start": f"{moment / 1000 - HOUR:.0f}", "end": f"{moment / 1000:.0f}"}
    assert send(filled, "query_exemplars", {"query": "inferwatch_gpus", **spanned}).data == []


def test_names_for_the_editor_and_for_variables(filled: Server):
    """Times are rounded to whole minutes or hours, the end upwards; limits are always given."""
    moment = now()
    spanned = {
        "start": f"{moment // HOUR * HOUR - HOUR:.0f}",
        "end": f"{moment // HOUR * HOUR + HOUR:.0f}",
    }
    limited = {"limit": "40000", **spanned}
    names = send(filled, "label/__name__/values", limited, method="GET").data
    assert "inferwatch_gpu_power_watts" in names
    few = {**limited, "match[]": '{__name__=~".*_gpu_power_watts"}'}
    assert send(filled, "label/__name__/values", few, method="GET").data == [
        "inferwatch_gpu_power_watts"
    ]
    for method in ("POST", "GET"):
        form = {**limited, "match[]": "inferwatch_gpu_power_watts"}
        assert "gpu" in send(filled, "labels", form, method=method).data
        form = {**spanned, "match[]": '{gpu!=""}', "limit": "0"}
        found = send(filled, "series", form, method=method).data
        assert {one["gpu"] for one in found} == {"0", "1"}
        form = {**spanned, "match[]": '{__name__!=""}', "limit": "40000"}
        assert {one["__name__"] for one in send(filled, "series", form, method=method).data} == {
            *names
        }
    metadata = send(filled, "metadata", {"limit": "40000"}, method="GET").data
    assert {*metadata["inferwatch_ticks_total"][0]} == {"type", "help", "unit"}


def test_label_values_are_asked_again_by_get(filled: Server):
    """Suggestions for scopes come by POST, which is refused as by Prometheus: then GET is tried."""
    form = {"limit": "1000", "match[]": "inferwatch_gpu_power_watts"}
    assert send(filled, "label/gpu/values", form).status == 405
    assert send(filled, "label/gpu/values", form, method="GET").data == ["0", "1"]


def test_rules_for_the_explorer_and_for_the_list_of_alerts(filled: Server):
    """Recorded names have their query; groups of alerts have what the list sorts and shows."""
    groups = send(filled, "rules", {}, method="GET").data["groups"]
    recorded = [rule for group in groups for rule in group["rules"] if rule["type"] == "recording"]
    assert all(rule["query"] and isinstance(rule.get("labels", {}), dict) for rule in recorded)
    paged = {"type": "alert", "group_limit": "40000", "exclude_alerts": "true"}
    told = send(filled, "rules", paged, method="GET").data
    assert "groupNextToken" not in told
    alerts = [rule for group in told["groups"] for rule in group["rules"]]
    assert {rule["state"] for rule in alerts} <= {"inactive", "pending", "firing"}
    assert all({"name", "file", "interval", "lastEvaluation"} <= {*group} for group in groups)
    assert all({"name", "query", "duration", "labels", "annotations", "health"} <= {*rule}
               for rule in alerts)  # fmt: skip
    assert isinstance(send(filled, "alerts", {}, method="GET").data["alerts"], list)


def test_what_is_not_there_is_not_found(filled: Server):
    """The search of Prometheus 3.14, if it is turned on, falls back to names on such an answer."""
    for path in ("search/metric_names?query=gpu", "features", "rules/none"):
        assert send(filled, path, {}, method="GET").status == 404
