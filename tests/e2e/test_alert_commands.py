"""The commands about rules and alerts, as their users call them."""

import json
import socket
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from agent.__main__ import main
from tests.servers import NEEDS_PROMTOOL, PROMTOOL

RECORDINGS = Path(__file__).parents[1] / "recordings"
CRASH = RECORDINGS / "vllm-enginecrash.rec.gz"


def test_check_rules_says_what_there_is(capsys: pytest.CaptureFixture[str]):
    """Without a file the shipped rules are checked, and each group is a line."""
    assert main(["check-rules"]) == 0
    out = capsys.readouterr().out
    assert "engine.yml: inferwatch-engine: " in out
    assert "every tick" in out


def test_check_rules_says_of_a_file_that_it_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """No word would leave it open whether it was looked at."""
    empty = tmp_path / "empty.yml"
    empty.write_text("groups: []\n")
    assert main(["check-rules", str(empty)]) == 0
    assert capsys.readouterr().out == f"{empty}: no groups\n"


def test_check_rules_says_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """All problems of all files in one go, each with its place; exit status 2."""
    one, two = tmp_path / "one.yml", tmp_path / "two.yml"
    one.write_text("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: rate(x)\n    fro: 1m\n")
    two.write_text("groups:\n- name: b\n  rules:\n  - alert: B\n    expr: sum(\n")
    assert main(["check-rules", str(one), str(two), str(tmp_path / "none.yml")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        f"{tmp_path / 'none.yml'}",
        f"{one}:6",
        f"{two}:5",
    ]


def test_backtest_for_people(capsys: pytest.CaptureFixture[str]):
    """Each firing says when, for how long, what about and with what lead, and its summary."""
    assert main(["backtest", str(CRASH), "--incident", "+30"]) == 0
    out = capsys.readouterr().out
    assert "incident at 2026-11-21 07:16:02Z (+30 s)" in out
    assert "EngineDown fires until the end, 8 s before the incident" in out
    assert "instance_name=chat" in out


def test_backtest_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The same as JSON, with rules of one's own."""
    rules = tmp_path / "rules.yml"
    rules.write_text(
        "groups: [{name: g, rules: [{alert: Gone, expr: inferwatch_engine_up == 0, for: 3s,"
        " annotations: {summary: '{{ $labels.instance_name }} is gone'}}]}]"
    )
    assert main(["backtest", str(CRASH), "--rules", str(rules), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (firing,) = result["firings"]
    assert (firing["alert"], firing["lead"], firing["resolved_at"]) == ("Gone", None, None)
    assert 3.0 <= firing["fired_at"] - firing["active_at"] < 4.5
    assert firing["annotations"]["summary"] == "chat is gone"
    assert firing["labels"]["job"] == "inferwatch"


def test_backtest_without_alerts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Where nothing fires that is said; where nothing could have, that is an error."""
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: g, rules: [{alert: Never, expr: absent(vector(1))}]}]")
    assert main(["backtest", str(CRASH), "--rules", str(rules)]) == 0
    assert capsys.readouterr().out.endswith("no alert would have fired\n")
    for nothing in ("", "groups: []", "groups: [{name: g, rules: [{record: a:b, expr: up}]}]"):
        rules.write_text(nothing)
        assert main(["backtest", str(CRASH), "--rules", str(rules)]) == 2
        assert capsys.readouterr().err == f"{rules}: no rule there gives an alert\n"


@pytest.mark.parametrize(
    "time", ["+x", "+nan", "+1e12", "yesterday", "2026-13-01", "1795249260000"]
)
def test_backtest_refuses_what_is_no_time(time: str, capsys: pytest.CaptureFixture[str]):
    """A time of an incident that cannot be read is wrong input."""
    with pytest.raises(SystemExit) as raised:
        main(["backtest", str(CRASH), "--incident", time])
    assert raised.value.code == 2
    assert "+SECONDS" in capsys.readouterr().err


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[Any]]]:
    """A receiver on loopback: its address, and what it was told."""
    told: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


CONFIG = """
labels: {{instance: "gpu7:9745", external: {{site: berlin}}}}
exporters:
  alertmanager:
    receivers:
      - {{name: main, url: "{url}"}}
      - {{name: gone, url: "http://127.0.0.1:1"}}
"""


def test_test_alert_tells_everyone(
    receiver: tuple[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Every receiver is told for real and its answer said; one that is not there makes it 1."""
    url, told = receiver
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(url=url))
    assert main(["test-alert", "--config", str(config), "--severity", "critical"]) == 1
    out = capsys.readouterr().out
    assert f"main: {url} answered 200 OK" in out
    assert "gone: telling http://127.0.0.1:1 failed" in out
    assert told[0][0]["labels"] == {
        "alertname": "InferwatchTest",
        "job": "inferwatch",
        "instance": "gpu7:9745",
        "site": "berlin",
        "severity": "critical",
    }


def test_the_test_alert_is_of_the_same_instance_as_real_ones(
    receiver: tuple[str, list[Any]], tmp_path: Path
):
    """Without a label of its own a host is known by name and port, and its page is linked."""
    url, told = receiver
    config = tmp_path / "config.yaml"
    written = CONFIG.format(url=url).replace('instance: "gpu7:9745", ', "")
    config.write_text(written.replace("exporters:", 'exporters:\n  http_api: {listen: [":9800"]}'))
    assert main(["test-alert", "--config", str(config)]) == 1
    (alert,) = told[0]
    assert alert["labels"]["instance"] == f"{socket.gethostname()}:9800"
    assert alert["generatorURL"] == f"http://{socket.gethostname()}:9800"


def test_test_alert_needs_a_receiver(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Without a receiver there is nobody to tell, which is wrong input."""
    config = tmp_path / "config.yaml"
    config.write_text("tick: {interval: 1s}\n")
    assert main(["test-alert", "--config", str(config)]) == 2
    assert "there is no receiver" in capsys.readouterr().err


def test_labels_and_receivers_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Names of labels that cannot be set and receivers without an address are said."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "labels:\n  external:\n    job: x\n    a-b: y\n    site: 5\n"
        "exporters:\n  alertmanager:\n    receivers:\n      - name: m\n"
        "      - {name: x, url: 'http://x'}\n      - {name: x, url: 'http://x'}\n"
        "alerts:\n  rule_files: [rules.yml]\n"
    )
    assert main(["check-config", str(config)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [int(line.split(":")[1]) for line in lines] == [3, 4, 5, 9, 13]


SEVERE = """
alerts:
  severity:
    - {model_name: big, severity: page}
    - {alert: EngineDown, instance: chat, severity: info}
"""


def test_severities_are_printed_for_prometheus(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The relabelings are those of the configuration, in their order."""
    config = tmp_path / "config.yaml"
    config.write_text(SEVERE)
    assert main(["alert-relabel", "--config", str(config)]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["alerting"]["alert_relabel_configs"] == [
        {
            "source_labels": ["model_name"],
            "regex": "big",
            "target_label": "severity",
            "replacement": "page",
        },
        {
            "source_labels": ["alertname", "instance_name"],
            "regex": "EngineDown;chat",
            "target_label": "severity",
            "replacement": "info",
        },
    ]


def test_a_backtest_has_the_severities_of_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """What would have paged is said as the agent would have said it."""
    config = tmp_path / "config.yaml"
    config.write_text(SEVERE)
    assert main(["backtest", str(CRASH), "--config", str(config), "--json"]) == 0
    firings = json.loads(capsys.readouterr().out)["firings"]
    assert {one["labels"]["severity"] for one in firings if one["alert"] == "EngineDown"} == {
        "info"
    }


def test_severities_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What is about nothing, twice about the same, or about no alert is said with its line."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "alerts:\n  severity:\n    - {severity: page}\n    - {severity: a b, alert: X}\n"
        "    - {severity: page, model_name: big}\n    - {severity: info, model_name: big}\n"
    )
    assert main(["check-config", str(config)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [int(line.split(":")[1]) for line in lines] == [4]
    config.write_text(config.read_text().replace("a b", "info"))
    assert main(["check-config", str(config)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [int(line.split(":")[1]) for line in lines] == [3, 6]
    config.write_text("alerts:\n  severity:\n    - severity: page\n      alert: EngineDwon\n")
    assert main(["check-config", str(config)]) == 2
    assert capsys.readouterr().err == (
        f"{config}:3: alerts.severity[0].alert: no rule gives an alert 'EngineDwon'; "
        "did you mean 'EngineDown'?\n"
    )


def test_disabled_alerts_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A name that no rule has would leave an alert on that nobody wants: it is refused."""
    config = tmp_path / "config.yaml"
    config.write_text("alerts:\n  disabled: [EngineDown, EngineDwon]\n")
    assert main(["check-config", str(config)]) == 2
    assert capsys.readouterr().err == (
        f"{config}:2: alerts.disabled: no rule gives an alert 'EngineDwon'; "
        "did you mean 'EngineDown'?\n"
    )
    config.write_text("alerts:\n  shipped: false\n  disabled: [EngineDown]\n")
    assert main(["check-config", str(config)]) == 0, "shipped rules may be off for a while"


@pytest.mark.server
@NEEDS_PROMTOOL
def test_prometheus_takes_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The printed relabelings are part of a good prometheus.yml, whatever names they hold."""
    config = tmp_path / "config.yaml"
    config.write_text(SEVERE + "    - {model_name: 'org/Big-7b (v1.2) +x', severity: ticket}\n")
    assert main(["alert-relabel", "--config", str(config)]) == 0
    file = tmp_path / "prometheus.yml"
    file.write_text(capsys.readouterr().out)
    checked = subprocess.run(
        [PROMTOOL, "check", "config", str(file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
