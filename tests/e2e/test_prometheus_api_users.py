"""Whoever uses the agent as a Prometheus: promtool, Grafana, and those who would break it."""

import re
import subprocess
import threading
import urllib.parse
from pathlib import Path

import pytest

from tests.e2e.process import AgentProcess, agent_process, free_port
from tests.e2e.prometheus import Server, now
from tests.servers import NEEDS_PROMETHEUS, PROMTOOL

pytestmark = [pytest.mark.server, NEEDS_PROMETHEUS]


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
    # The first tick of a demo may be stamped up to a second ahead of who asks for now.
    agent.wait_for("inferwatch_gpus offset 1s")
    moment = now()
    filled = [
        one.replace("URL", agent.url)
        .replace("START", f"{moment - 5:.3f}")
        .replace("END", f"{moment:.3f}")
        for one in arguments
    ]
    done = subprocess.run(
        [PROMTOOL, "query", *filled], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 0, done.stderr
    assert re.search(expected, done.stdout), done.stdout


def test_what_grafana_asks_on_start_and_in_its_query_builder(agent: Server):
    """Its data source saves, completes names and values, and draws."""
    agent.wait_for("inferwatch_gpus")
    moment = now()
    span = [("start", f"{moment - 3600:.3f}"), ("end", f"{moment:.3f}")]
    query = urllib.parse.urlencode(span)

    assert (
        agent.ask("query", [("query", "1+1"), ("time", f"{moment:.3f}")])[1]["data"]["result"][1]
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
