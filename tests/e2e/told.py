"""What servers of one history say of it: reports of a fleet, and the shipped rules' expressions."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from agent.app.report_fleet import Fleet, make, make_of_host, remote
from agent.config import Settings
from agent.report.asked import Asked
from agent.store.series import Labels
from tests.e2e import fleet
from tests.e2e.fleet import RULES
from tests.fakes import fleet as made

Samples = dict[tuple[Labels, float], float]
Said = tuple[dict[str, Any], dict[str, Samples]]

START: Final = 1_780_048_800.0
"""A time two hours before noon, at the edge of a block."""

END: Final = START + 7200.0
NOW: Final = END + 60.0
HOSTS: Final = made.hosts(20)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of twenty hosts, and what the rules record of them."""
    found = tmp_path_factory.mktemp("history")
    fleet.fill(found, HOSTS, START, END, step=60.0)
    fleet.record(found, START, END)
    return found


@pytest.fixture(scope="module")
def prometheus_said(history: Path) -> Said:
    """What a Prometheus says of them: reports, and the expressions of the rules."""
    with fleet.server(history) as running:
        return reports(running.url, {}), evaluated(running.url, {})


def settings(headers: Mapping[str, str]) -> Settings:
    """Return settings whose requests have headers."""
    found = Settings()
    return replace(found, fleet=replace(found.fleet, headers=headers))


def reports(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the reports of the last hour and a half, by what the fleet is divided; one host's."""
    asking = settings(headers)
    told: dict[str, Any] = {}
    for by in ("model", "gpu", "cluster"):
        document = make(asking, Asked(start="90m"), Fleet(url=url, by=by), now=NOW).document
        told[by] = {name: value for name, value in document.items() if name != "server"}
    host = make_of_host(asking, Asked(start="60m"), url=url, host="gpu-0001:9745", now=NOW)
    return {**told, "host": dict(host.document)}


def expressions() -> Iterator[tuple[str, str]]:
    """Yield the name and the expression of every rule that is deployed, once a place."""
    for file in _files():
        for group in yaml.safe_load(file.read_text())["groups"]:
            for number, rule in enumerate(group["rules"]):
                name = rule.get("alert") or rule["record"]
                yield f"{file.name} {group['name']} {number} {name}", rule["expr"]


def evaluated(url: str, headers: Mapping[str, str]) -> dict[str, Samples]:
    """Return what every rule gives in each minute."""
    with remote(settings(headers), url) as querier:
        return {
            name: {
                (one.labels, time): value
                for one in querier.range(text, START, END, 60.0).series
                for time, value in zip(one.times, one.values, strict=True)
            }
            for name, text in expressions()
        }


def assert_alike(found: object, expected: object) -> None:
    """Assert that two documents have the same words and, but for the last digits, figures."""
    here, there = dict(_flat(found)), dict(_flat(expected))
    assert here.keys() == there.keys()
    for place, value in there.items():
        alike = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        assert here[place] == alike, place


def _flat(value: object, at: str = "") -> Iterator[tuple[str, object]]:
    """Yield what stands at each place of a document."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(part, f"{at}.{key}")
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from _flat(part, f"{at}[{place}]")
    else:
        yield at, value


def each_second() -> dict[str, str]:
    """Return every file of rules that is deployed, by its name, with a second for its intervals."""
    found = {}
    for file in _files():
        document = yaml.safe_load(file.read_text())
        for group in document["groups"]:
            group["interval"] = "1s"
        found[file.name] = yaml.safe_dump(document)
    return found


def _files() -> list[Path]:
    """Return the files with rules."""
    beside = (RULES.with_name(f"{name}.yml") for name in ("agent-unreachable", "openllmetry"))
    return [RULES, *beside, *sorted((RULES.parent / "rules").glob("*.yml"))]
