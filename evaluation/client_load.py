"""What the client of a recorded engine got at each step of its load, to put beside a capacity."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.analysis.bottleneck import Targets
from evaluation.captures import CAPTURES


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a client's load.

    Attributes:
        begin: seconds from the first step's beginning.
        offered: prompt and output tokens a minute of the requests that began in it.
        requests: how many these are.
        within: share of them that kept both targets; one that failed kept none.
    """

    begin: float
    offered: float
    requests: int
    within: float


def steps(name: str, targets: Targets, *, captures: Path = CAPTURES) -> Iterator[Step]:
    """Yield the steps of a recording's load in which requests began.

    Raises:
        FileNotFoundError: the client's measurements are not there.
    """
    with gzip.open(captures / f"{name}.requests.jsonl.gz", "rt", encoding="utf-8") as file:
        every = [json.loads(line) for line in file]
    told = json.loads((captures / f"{name}.steps.json").read_text(encoding="utf-8"))["steps"]
    for step in told:
        begin, end = step["t0"], step["t1"]
        begun = [one for one in every if begin <= one["t_start"] < end]
        if not begun:
            continue
        tokens = sum(one["prompt_tokens"] + one["max_tokens"] for one in begun)
        yield Step(
            begin=begin - told[0]["t0"],
            offered=60.0 * tokens / (end - begin),
            requests=len(begun),
            within=sum(_kept(one, targets) for one in begun) / len(begun),
        )


def _kept(one: dict[str, Any], targets: Targets) -> bool:
    """Return whether a request kept both targets, by the client's clock."""
    if one["status"] != "ok" or not one["t_first_token"]:
        return False
    gaps = max(one["completion_tokens"] - 1, 1)
    return bool(
        one["t_first_token"] - one["t_start"] <= targets.time_to_first_token
        and (one["t_last_token"] - one["t_first_token"]) / gaps <= targets.inter_token_latency
    )


def table(name: str, targets: Targets) -> str:
    """Return the steps as Markdown; a sentence where the client's measurements are not there."""
    try:
        rows = [
            f"| {step.begin:.0f} s | {step.requests} | {step.offered:,.0f} | {step.within:.0%} |"
            for step in steps(name, targets)
        ]
    except FileNotFoundError:
        return "What its client got is not in the repository."
    head = ["| client's step | requests | tokens a minute asked | within both targets |"]
    return "\n".join([*head, "|--:|--:|--:|--:|", *rows])
