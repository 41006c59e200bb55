"""The fleet's questions asked of a real Thanos over two Prometheus with the same hosts."""

from pathlib import Path
from typing import Any

import pytest

from agent.app.report_fleet import Fleet, make
from agent.report.asked import Asked
from agent.report.report import ReportError
from tests.e2e import fleet, told
from tests.e2e.thanos import thanos
from tests.fakes import fleet as made
from tests.servers import NEEDS_PROMETHEUS, NEEDS_THANOS

pytestmark = [pytest.mark.server, NEEDS_THANOS, NEEDS_PROMETHEUS]

HOSTS = made.hosts(20)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of twenty hosts, and what the rules record of them."""
    found = tmp_path_factory.mktemp("history")
    fleet.fill(found, HOSTS, told.START, told.END, step=60.0)
    fleet.record(found, told.START, told.END)
    return found


@pytest.fixture(scope="module")
def prometheus_said(history: Path) -> tuple[dict[str, Any], dict[str, told.Samples]]:
    """What a Prometheus says of them: reports, and the expressions of the rules."""
    with fleet.server(history) as running:
        return told.reports(running.url, {}), told.evaluated(running.url, {})


@pytest.mark.parametrize("engine", ["prometheus", "thanos"])
def test_two_replicas_say_what_one_prometheus_says(
    history: Path,
    tmp_path: Path,
    prometheus_said: tuple[dict[str, Any], dict[str, told.Samples]],
    engine: str,
):
    """Every figure and every sample that a shipped rule gives is the same; nothing counts twice."""
    reports, samples = prometheus_said
    option = f"--query.promql-engine={engine}"
    with thanos(tmp_path, option, blocks=history / "data") as running:
        found = told.reports(running.url, {})
        evaluated = told.evaluated(running.url, {})
    told.assert_alike(found, reports)
    for name, expected in samples.items():
        assert evaluated[name] == pytest.approx(expected, rel=1e-9, nan_ok=True), name


def test_a_replica_that_is_away_is_said_and_changes_nothing(
    history: Path, tmp_path: Path, prometheus_said: tuple[dict[str, Any], dict[str, told.Samples]]
):
    """The other has it all, so the figures stand beside the warning; without both there is none."""
    fleet_of = prometheus_said[0]["model"]
    with thanos(tmp_path, blocks=history / "data") as running:
        asked = Asked(start="90m")
        running.lose(1)
        found = make(told.settings({}), asked, Fleet(url=running.url), now=told.NOW).document
        assert found["subjects"] == fleet_of["subjects"]
        (missing,) = found["missing"]
        assert missing.startswith("the server did not answer in full: fetch series for {replica=")
        running.lose(0)
        with pytest.raises(ReportError, match=r"no series of an agent .*; the server did not"):
            make(told.settings({}), asked, Fleet(url=running.url), now=told.NOW)
