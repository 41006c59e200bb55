"""The fleet's questions asked of a real Thanos over two Prometheus with the same hosts."""

import sys
from pathlib import Path

import pytest

from agent.app.report_fleet import Fleet, make
from agent.report.asked import Asked
from agent.report.fleet import names
from agent.report.report import ReportError
from tests.e2e import told
from tests.e2e.process import free_port
from tests.e2e.prometheus import Server
from tests.e2e.test_scaler import CONFIG, host, running, until
from tests.e2e.thanos import frontend, live, thanos
from tests.servers import NEEDS_PROMETHEUS_3, NEEDS_THANOS

pytestmark = [pytest.mark.server, NEEDS_THANOS, NEEDS_PROMETHEUS_3]


history, prometheus_said = told.history, told.prometheus_said


@pytest.mark.parametrize("engine", ["prometheus", "thanos"])
def test_two_replicas_say_what_one_prometheus_says(
    history: Path,
    tmp_path: Path,
    prometheus_said: told.Said,
    engine: str,
):
    """Every figure and every sample that a shipped rule gives is the same; nothing counts twice."""
    reports, samples = prometheus_said
    option = f"--query.promql-engine={engine}"
    with thanos(tmp_path, option, blocks=history / "data") as found:
        documents = told.reports(found.url, {})
        evaluated = told.evaluated(found.url, {})
    told.assert_alike(documents, reports)
    for name, expected in samples.items():
        assert evaluated[name] == pytest.approx(expected, rel=1e-9, nan_ok=True), name


def test_what_its_query_frontend_does_changes_no_figure(
    history: Path, tmp_path: Path, prometheus_said: told.Said
):
    """It puts ranges back to whole steps, splits them by the day, shards them, and limits them."""
    with thanos(tmp_path, blocks=history / "data") as found:
        for option in (
            "--query-range.split-interval=24h",
            "--query-range.max-query-length=170h",
            "--query-frontend.vertical-shards=4",
        ):
            with frontend(tmp_path, found.url, option) as url:
                told.assert_alike(told.reports(url, {}), prometheus_said[0])


def test_a_replica_that_is_away_is_said_and_changes_nothing(
    history: Path, tmp_path: Path, prometheus_said: told.Said
):
    """The other has it all, so the figures stand beside the warning; without both there is none."""
    fleet_of = prometheus_said[0]["model"]
    with thanos(tmp_path, blocks=history / "data") as found:
        asked = Asked(start="90m")
        found.lose(1)
        document = make(told.settings({}), asked, Fleet(url=found.url), now=told.NOW).document
        assert document["subjects"] == fleet_of["subjects"]
        (missing,) = document["missing"]
        assert missing.startswith("the server did not answer in full: fetch series for {replica=")
        found.lose(0)
        with pytest.raises(ReportError, match=r"no series of an agent .*; the server did not"):
            make(told.settings({}), asked, Fleet(url=found.url), now=told.NOW)


def test_its_ruler_and_the_scaler_live(tmp_path: Path):
    """Of hosts that are scraped all shipped rules are evaluated, and the scaler counts them.

    The rules are evaluated each second rather than each minute; their expressions are the shipped.
    """
    port = free_port()
    settings = tmp_path / "config.yaml"
    settings.write_text("scaler: {interval: 1s, stale_after: 20s}\n")
    with host() as one, host() as other:
        scrapes = CONFIG.format(one=one.server_port, other=other.server_port)
        with live(tmp_path, scrapes, told.each_second()) as (querier, ruler):
            command = (
                *(sys.executable, "-m", "agent", "scaler", "--prometheus", querier),
                *("--listen", f"127.0.0.1:{port}", "--config", str(settings)),
            )
            with running(tmp_path / "scaler.log", *command):
                path = f"http://127.0.0.1:{port}/api/v1/models/org/m/replicas"
                said = until(
                    path, lambda status, text: status == 200 and '"replicas_now": 2' in text
                )
                assert (said["replicas"], said["demand_tokens_per_minute"]) == (3, 3400.0)
            counted = f'sum by (cluster) ({names.REPLICAS}{{cluster="oslo"}}) == 2'
            Server(querier).wait_for(counted, seconds=60)
            groups = until(
                f"{ruler}/api/v1/rules", lambda _status, text: '"health":"unknown"' not in text
            )["data"]["groups"]
    health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert set(health.values()) == {"ok"}, health
    assert len(health) == len({name.rpartition(" ")[2] for name, _text in told.expressions()})
