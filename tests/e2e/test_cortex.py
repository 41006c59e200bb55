"""The fleet's questions asked of a real Cortex, with its tenants and its limits."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.app.report_fleet import make_of_host, remote
from agent.model import SourceError
from agent.promql.errors import PromqlError
from agent.report.asked import Asked
from agent.report.fleet import names
from agent.report.report import ReportError
from tests.e2e import told
from tests.e2e.cortex import TENANT, cortex
from tests.e2e.process import free_port
from tests.e2e.prometheus import prometheus
from tests.e2e.test_scaler import CONFIG, host, running, until
from tests.servers import NEEDS_CORTEX, NEEDS_PROMETHEUS_3

pytestmark = [pytest.mark.server, NEEDS_CORTEX, NEEDS_PROMETHEUS_3]

DAY = 86_400.0


history, prometheus_said = told.history, told.prometheus_said


@pytest.fixture(scope="module")
def url(history: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Cortex that has the same."""
    with cortex(tmp_path_factory.mktemp("cortex"), blocks=history / "data") as found:
        yield found


def test_reports_and_rules_say_what_they_say_of_a_prometheus(url: str, prometheus_said: told.Said):
    """Every figure of every report, and every sample that a shipped rule gives, is the same."""
    reports, samples = prometheus_said
    assert told.reports(url, TENANT) == reports
    found = told.evaluated(url, TENANT)
    assert found.keys() == samples.keys()
    for name, expected in samples.items():
        assert found[name] == pytest.approx(expected, rel=1e-9, nan_ok=True), name
    assert sum(map(len, samples.values())) > 100_000


@pytest.mark.parametrize(
    "options",
    [
        ("-frontend.query-vertical-shard-size=4",),
        ("-querier.split-queries-by-interval=24h",),
        ("-store.max-query-length=721h",),
        ("-store.max-query-length=170h",),
    ],
    ids=["sharded", "split", "30 days", "a week"],
)
def test_limits_and_the_ways_of_its_frontend_change_no_figure(
    history: Path,
    tmp_path: Path,
    prometheus_said: told.Said,
    options: tuple[str, ...],
):
    """Queries that it splits or shards, and months that it gives in weeks alone, are the same."""
    with cortex(tmp_path, *options, blocks=history / "data") as found:
        assert told.reports(found, TENANT) == prometheus_said[0]


def test_what_it_refuses_is_said(url: str, history: Path, tmp_path: Path):
    """No tenant, another's, a path that is not its API's and a limit below a day: what to do."""
    with pytest.raises(SourceError, match=r"401; no org id; give the tenant: headers in"):
        told.reports(url, {})
    with pytest.raises(ReportError, match="asked for the right tenant"):
        told.reports(url, {"X-Scope-OrgID": "team-b"})
    with pytest.raises(SourceError, match="is the path right"):
        told.reports(url.removesuffix("/prometheus"), TENANT)
    with (
        cortex(tmp_path, "-store.max-query-length=30m", blocks=history / "data") as short,
        pytest.raises(PromqlError, match=r"exceeds the limit \(query length: 1h25m0s, limit: 30m"),
    ):
        told.reports(short, TENANT)


def test_what_is_too_long_ago_costs_the_growth_alone(
    history: Path, tmp_path: Path, prometheus_said: told.Said
):
    """Where it may not look back the months that growth wants, the rest is told, and why."""
    far = time.time() - told.START + 3 * DAY  # noqa: TID251 - its limit counts from its own now
    with cortex(
        tmp_path, f"-querier.max-query-lookback={far:.0f}s", blocks=history / "data"
    ) as found:
        for by, document in told.reports(found, TENANT).items():
            (missing,) = document["missing"]
            assert missing.startswith("the growth, from the 91 days before the end: ")
            for one, same in zip(
                document["subjects"], prometheus_said[0][by]["subjects"], strict=True
            ):
                assert one["load"] == same["load"]


def test_the_command_says_its_tenant(url: str, tmp_path: Path):
    """`inferwatch report` with the configuration that the documentation shows."""
    config = tmp_path / "config.yaml"
    config.write_text("fleet: {headers: {X-Scope-OrgID: team-a}}\n")
    done = subprocess.run(
        [
            *(sys.executable, "-I", "-m", "agent", "report", f"--prometheus={url}"),
            *(f"--from={told.START + 1800:.0f}", f"--to={told.END:.0f}", "--format=json"),
            *("--config", str(config)),
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["hosts"] == 20


def test_a_host_of_last_year_is_found(url: str):
    """With `--from` and `--to`, whenever it is asked for."""
    asked = Asked(start=f"{told.START + 3600:.0f}", end=f"{told.END:.0f}")
    found = make_of_host(
        told.settings(TENANT), asked, url=url, host="gpu-0001:9745", now=told.NOW + 365 * DAY
    )
    (one, *_others) = found.document["subjects"]
    assert one["load"]["known_share"] == 1.0


def test_its_ruler_and_the_scaler_live(tmp_path: Path):
    """What a Prometheus writes on is recorded by all shipped rules, and the scaler counts it.

    The rules are evaluated each second rather than each minute; their expressions are the shipped.
    """
    port = free_port()
    settings = tmp_path / "config.yaml"
    settings.write_text(
        "scaler: {interval: 1s, stale_after: 20s, headers: {X-Scope-OrgID: team-a}}\n"
    )
    with (
        host() as one,
        host() as other,
        cortex(
            tmp_path / "cortex",
            "-ruler.poll-interval=1s",
            "-ruler.evaluation-delay-duration=0s",
            rules=told.each_second(),
        ) as url,
    ):
        push = url.removesuffix("/prometheus") + "/api/v1/push"
        writing = yaml.safe_load(CONFIG.format(one=one.server_port, other=other.server_port))
        writing["remote_write"] = [{"url": push, "headers": dict(TENANT)}]
        command = (
            *(sys.executable, "-m", "agent", "scaler", "--prometheus", url),
            *("--listen", f"127.0.0.1:{port}", "--config", str(settings)),
        )
        with (
            prometheus(tmp_path, yaml.safe_dump(writing)),
            running(tmp_path / "scaler.log", *command),
        ):
            path = f"http://127.0.0.1:{port}/api/v1/models/org/m/replicas"
            said = until(path, lambda status, text: status == 200 and '"replicas_now": 2' in text)
            assert (said["replicas"], said["replicas_with_known_capacity"]) == (3, 2)
            assert said["demand_tokens_per_minute"] == 3400.0
            _recorded(url)
            groups = _rules(url)
        health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        assert set(health.values()) == {"ok"}, health
        assert len(health) == len({name.rpartition(" ")[2] for name, _text in told.expressions()})


def _recorded(url: str) -> None:
    """Wait until the demand of both hosts is recorded."""
    end = time.monotonic() + 60
    with remote(told.settings(TENANT), url) as querier:
        while time.monotonic() < end:
            now = time.time()  # noqa: TID251 - the ruler's clock is this one
            found = querier.range(f"sum({names.REPLICAS})", now - 1, now, 1.0).series
            if found and found[0].values[-1] == 2.0:
                return
            time.sleep(0.5)
    raise AssertionError("the ruler records nothing of the hosts")


def _rules(url: str) -> list[dict[str, Any]]:
    """Return the groups of rules once all of them were evaluated."""
    end, groups = time.monotonic() + 60, []
    while time.monotonic() < end:
        asking = urllib.request.Request(f"{url}/api/v1/rules", headers=dict(TENANT))
        with urllib.request.urlopen(asking, timeout=10) as answer:
            groups = json.load(answer)["data"]["groups"]
        if groups and all(
            rule["health"] != "unknown" for group in groups for rule in group["rules"]
        ):
            break
        time.sleep(0.5)
    return groups
