"""The examples in `deploy/` can be read, and name nothing that does not exist."""

import argparse
import gzip
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from agent.alerts.rule import AlertRule
from agent.alerts.severe import SEVERE
from agent.app.rules import load_rules, shipped_rule_files
from agent.catalog import METRICS
from agent.commands import scaler as scaler_command
from tests.servers import AMTOOL, NEEDS_AMTOOL

ROOT = Path(__file__).parents[2]
ROUTES = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
FOLDERS = ("keda", "prometheus-adapter", "gateway-api-inference-extension")
FILES = sorted(path for name in FOLDERS for path in (ROOT / "deploy" / name).glob("*.yaml"))
ENGINE_PAGES = sorted((ROOT / "tests" / "captures").glob("vllm-*.prom.gz"))

ONLY_WITH_ADAPTERS = {"vllm:lora_requests_info"}
"""What vLLM shows once it serves LoRA adapters, which none of the captured pages did."""

MADE_HERE = {"inferwatch_model_load_replicas", "inferwatch_model_queue_wait_seconds"}
"""What the adapter's own rules are called."""


def _documents(path: Path) -> list[dict[str, Any]]:
    """Return the documents of a file."""
    return [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one is not None]


def _strings(value: object) -> Iterator[str]:
    """Yield every string of a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _named(path: Path, pattern: str) -> set[str]:
    """Return what the strings of a file name."""
    return {
        found
        for document in _documents(path)
        for text in _strings(document)
        for found in re.findall(pattern, text)
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_metric_of_the_agent_exists(path: Path):
    """Each name that begins with inferwatch_ is in the catalogue, or made by the example itself."""
    names = _named(path, r"\binferwatch_[a-z0-9_]+\b")
    assert names <= METRICS.keys() | MADE_HERE


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_metric_of_the_engine_exists(path: Path):
    """Each name that begins with vllm: stands on a captured page."""
    page = "".join(gzip.decompress(one.read_bytes()).decode() for one in ENGINE_PAGES)
    known = set(re.findall(r"^(vllm:\w+)", page, re.MULTILINE))
    assert _named(path, r"\bvllm:\w+\b") <= known | ONLY_WITH_ADAPTERS


def test_there_is_something_to_check():
    """The examples name metrics of both kinds, so that the checks above can fail."""
    names = set().union(*(_named(path, r"\b(?:inferwatch_|vllm:)\w+\b") for path in FILES))
    assert {"inferwatch_engine_demand_tokens_per_minute", "vllm:num_requests_waiting"} <= names


def _queries() -> Iterator[str]:
    """Yield every query of the examples."""
    keda = _documents(ROOT / "deploy/keda/prometheus.yaml")[0]
    yield from (one["metadata"]["query"] for one in keda["spec"]["triggers"])
    values = _documents(ROOT / "deploy/prometheus-adapter/values.yaml")[0]
    for rule in values["rules"]["external"]:
        yield rule["seriesQuery"]
        yield rule["metricsQuery"].replace("<<.LabelMatchers>>", 'model_name="m"')
    rules = _documents(ROOT / "deploy/gateway-api-inference-extension/rules.yaml")[0]
    for group in rules["spec"]["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


@pytest.mark.parametrize("query", [*_queries()])
def test_every_query_can_be_parsed_and_asks_for_labels_that_exist(query: str):
    """A label that a metric has not would read as no load."""
    promql_parser.parse(query)
    for name, matchers in re.findall(r"(inferwatch_[a-z0-9_]+)\{([^}]*)\}", query):
        asked = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)
        assert {*asked} <= {*METRICS[name].labels}


def test_the_hpa_asks_for_what_the_adapter_makes():
    """The names of the external metrics are those of the adapter's rules."""
    hpa = _documents(ROOT / "deploy/prometheus-adapter/hpa.yaml")[0]
    asked = {one["external"]["metric"]["name"] for one in hpa["spec"]["metrics"]}
    values = _documents(ROOT / "deploy/prometheus-adapter/values.yaml")[0]
    made = {rule["name"]["as"] for rule in values["rules"]["external"]}
    assert asked == made == MADE_HERE


def test_keda_asks_the_scaler_where_it_answers():
    """Path, key and ports of the examples are those of the scaler."""
    (trigger,) = _documents(ROOT / "deploy/keda/metrics-api.yaml")[0]["spec"]["triggers"]
    asked = trigger["metadata"]
    assert re.fullmatch(r"http://[\w.-]+:9746/api/v1/models/.+/replicas", asked["url"])
    assert (asked["valueLocation"], asked["targetValue"]) == ("replicas", "1")
    (trigger,) = _documents(ROOT / "deploy/keda/external-scaler.yaml")[0]["spec"]["triggers"]
    assert trigger["metadata"]["scalerAddress"].endswith(":9747")
    assert trigger["metadata"]["modelName"]
    arguments = _documents(ROOT / "deploy/keda/scaler.yaml")[0]["spec"]["template"]["spec"][
        "containers"
    ][0]["args"]
    parser = argparse.ArgumentParser()
    scaler_command.add_arguments(parser)
    given = parser.parse_args(arguments[1:])
    assert (given.listen.port, given.grpc.port) == (9746, 9747)


@pytest.mark.server
@NEEDS_AMTOOL
def test_alertmanager_takes_the_routes():
    """Its own tool finds nothing wrong, and each severity goes where the runbooks say."""

    def amtool(*arguments: str) -> str:
        done = subprocess.run(
            [AMTOOL, *arguments], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    assert "SUCCESS" in amtool("check-config", str(ROUTES))
    for severities, receiver in ((SEVERE, "pager"), (["warning"], "tickets"), (["info"], "nobody")):
        for severity in severities:
            tested = ("config", "routes", "test", f"--config.file={ROUTES}")
            assert amtool(*tested, f"severity={severity}") == receiver


def test_what_silences_other_alerts_is_a_rule():
    """Each alert that the inhibition names is one of the shipped rules, about an engine."""
    (inhibits,) = _documents(ROUTES)[0]["inhibit_rules"]
    (source,) = inhibits["source_matchers"]
    named = source.partition('"')[2].strip('"').split("|")
    severities = {
        rule.name: rule.labels["severity"].text
        for group in load_rules(shipped_rule_files())
        for rule in group.rules
        if isinstance(rule, AlertRule)
    }
    assert {severities[name] for name in named} == {"critical"}
    assert inhibits["equal"] == ["instance", "engine", "instance_name"]
