"""Captured pages of a made-up engine, for tests of what reads captures."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

_LABELS = 'engine="0",model_name="tiny"'
PROMPT, OUTPUT = 100, 40
"""Tokens of each request."""


def page(second: int) -> str:
    """Return the page after so many seconds of a request a second, two of which run at a time."""
    done = second
    counts = {
        "vllm:num_requests_running": 2,
        "vllm:num_requests_waiting": 0,
        "vllm:kv_cache_usage_perc": 0.1,
        "vllm:prompt_tokens_total": PROMPT * second,
        "vllm:generation_tokens_total": OUTPUT * second,
        "vllm:iteration_tokens_total_count": 20 * second,
        "vllm:iteration_tokens_total_sum": 140 * second,
    }
    lines = [f"{name}{{{_LABELS}}} {value}" for name, value in counts.items()]
    for name, mean, bound in (
        ("vllm:time_to_first_token_seconds", 0.1, "0.25"),
        ("vllm:inter_token_latency_seconds", 0.05, "0.1"),
        ("vllm:e2e_request_latency_seconds", 2.0, "5.0"),
        ("vllm:request_prompt_tokens", PROMPT, "200.0"),
        ("vllm:request_generation_tokens", OUTPUT, "50.0"),
    ):
        count = done * (OUTPUT - 1 if name.startswith("vllm:inter") else 1)
        lines += [f'{name}_bucket{{{_LABELS},le="{le}"}} {count}' for le in (bound, "+Inf")]
        lines += [f"{name}_count{{{_LABELS}}} {count}", f"{name}_sum{{{_LABELS}}} {mean * count}"]
    return "\n".join(lines) + "\n"


def scrape(start: float, second: int) -> str:
    """Return the line of a capture for one second."""
    answer = {"t": start + second, "path": "/metrics", "dt": 0.005, "code": 200, "inflight": 9}
    return json.dumps({**answer, "body": page(second)})


def written(path: Path, lines: Sequence[str]) -> Path:
    """Write a capture and return its path."""
    path.write_bytes(gzip.compress("".join(line + "\n" for line in lines).encode()))
    return path
