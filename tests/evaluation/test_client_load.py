"""What a client got: shares of requests within targets, by steps of its load."""

import gzip
import json
from pathlib import Path

import pytest

from agent.analysis.bottleneck import Targets
from evaluation.client_load import steps, table

TARGETS = Targets(time_to_first_token=1.0, inter_token_latency=0.1)


def request(start: float, *, first: float = 0.5, gap: float = 0.05, status: str = "ok") -> str:
    """Return the line of a request of 100 prompt tokens and 11 answered."""
    told = {
        "t_start": start,
        "t_first_token": start + first if status == "ok" else None,
        "t_last_token": start + first + 10 * gap,
        "prompt_tokens": 100,
        "completion_tokens": 11,
        "max_tokens": 11,
        "status": status,
    }
    return json.dumps(told)


def test_share_of_the_requests_that_began_in_a_step(tmp_path: Path):
    """Late first tokens, slow ones and failures are not within; each counts where it began."""
    lines = [
        request(100.0),
        request(110.0, first=1.5),
        request(120.0, gap=0.2),
        request(159.0, status="failed"),
        request(160.0),
    ]
    with gzip.open(tmp_path / "x.requests.jsonl.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    told = [{"t0": 100.0, "t1": 160.0}, {"t0": 160.0, "t1": 190.0}, {"t0": 190.0, "t1": 200.0}]
    (tmp_path / "x.steps.json").write_text(json.dumps({"steps": told}))
    one, two = steps("x", TARGETS, captures=tmp_path)
    assert (one.begin, one.requests, one.within) == (0.0, 4, 0.25)
    assert one.offered == pytest.approx(4 * 111)
    assert (two.begin, two.requests, two.within, two.offered) == (60.0, 1, 1.0, 222.0)


def test_without_measurements_that_is_said():
    """Who has only the repository reads that the client's log is not in it."""
    assert table("no-such-recording", TARGETS) == "What its client got is not in the repository."
