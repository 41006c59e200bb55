"""Hosts that never were, for a fleet's rules: what their agents would have said, in closed form.

Every series is a function of time, so that any part of any day can be written on its own and the
truth is known to the digit. The wave is 1 - 0.8 cos(2 pi t / day): least at midnight (UTC), most at
noon.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

DAY: Final = 86_400.0
DEPTH: Final = 0.8
CAUSES: Final = (
    "idle", "healthy", "sequence_limit", "kv_memory", "prefill_compute", "decode_bandwidth",
    "token_budget", "host_cpu", "power_thermal", "co_tenant", "stalled", "unknown",
)  # fmt: skip
FIRST: Final = (
    "0.001", "0.005", "0.01", "0.02", "0.04", "0.06", "0.08", "0.1", "0.25", "0.5", "0.75", "1.0",
    "2.5", "5.0", "7.5", "10.0", "20.0", "40.0", "80.0", "160.0", "640.0", "2560.0", "+Inf",
)  # fmt: skip
GAPS: Final = (
    "0.01", "0.025", "0.05", "0.075", "0.1", "0.15", "0.2", "0.3", "0.4", "0.5", "0.75", "1.0",
    "2.5", "5.0", "7.5", "10.0", "20.0", "40.0", "80.0", "+Inf",
)  # fmt: skip
"""The buckets of vLLM."""

FIRST_TOKEN: Final = (0.2, 0.8)
GAP: Final = (0.02, 0.06)
"""Means in seconds of what is quick and of what had to wait; both fall off exponentially."""

REQUEST: Final = 1000.0
"""Tokens of a request, four in five of them its prompt."""

PROMPT: Final = 0.8
CACHED: Final = 0.3
BUSY: Final = 0.75
PRICE: Final = 3.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What a host is.

    Attributes:
        gpu_type: name of its GPUs.
        model_name: what it serves.
        engines: on its eight GPUs.
        tokens_per_minute: of each engine, the mean of a day.
        capacity: of each engine, the lower bound.
    """

    gpu_type: str
    model_name: str
    engines: int
    tokens_per_minute: float
    capacity: float


KINDS: Final = (
    Kind("NVIDIA H200", "org/chat-8b", 2, 300_000.0, 600_000.0),
    Kind("NVIDIA H100 80GB HBM3", "org/large-70b", 1, 100_000.0, 150_000.0),
    Kind("NVIDIA A100-SXM4-40GB", "org/chat-8b", 1, 90_000.0, 250_000.0),
)
CLUSTERS: Final = ("berlin", "oslo")


@dataclass(frozen=True, slots=True)
class Host:
    """One host.

    Attributes:
        number: from 0.
        kind: what it is.
        cluster: where it is.
        share: of what others of its kind are asked.
        slow: times as long as others from token to token.
        known: whether its capacity is known.
    """

    number: int
    kind: Kind
    cluster: str
    share: float
    slow: float
    known: bool

    @property
    def target(self) -> str:
        """Labels of the target."""
        return f'cluster="{self.cluster}",job="inferwatch",instance="gpu-{self.number:04d}:9745"'


def hosts(count: int) -> list[Host]:
    """Return some hosts: of ten one has no capacity yet, one in all is slow, one asked too much."""
    return [
        Host(
            number=number,
            kind=KINDS[number % 3],
            cluster=CLUSTERS[number // 3 % 2],
            share=2.4 if number == 6 else 1.0,
            slow=1.8 if number == 12 else 1.0,
            known=number % 10 != 3,
        )
        for number in range(count)
    ]


def wave(times: Column) -> Column:
    """Return the load of a moment, as a multiple of the day's mean."""
    return 1 - DEPTH * np.cos(2 * math.pi * times / DAY)


def passed(times: Column) -> Column:
    """Return the integral of the wave over minutes, from midnight of a day long ago."""
    turn = 2 * math.pi / DAY
    return (times - DEPTH * np.sin(turn * times) / turn) / 60.0


def passed_square(times: Column) -> Column:
    """Return the integral of the wave's square over minutes."""
    turn = 2 * math.pi / DAY
    square = DEPTH**2 * (times / 2 + np.sin(2 * turn * times) / (4 * turn))
    return (times - 2 * DEPTH * np.sin(turn * times) / turn + square) / 60.0


def delayed(times: Column) -> Column:
    """Return the share of the requests of a moment that had to wait."""
    return 0.2 * wave(times)


def openmetrics(several: Sequence[Host], start: float, end: float, *, step: float) -> Iterator[str]:
    """Yield what agents said in [start, end), scraped every `step` seconds, as OpenMetrics.

    Args:
        several: the hosts.
        start: Unix seconds.
        end: Unix seconds.
        step: seconds.
    """
    times = np.arange(start, end, step)
    stamps = [f" {time:.0f}\n" for time in times.tolist()]
    for host in several:
        for name, labels, column in _series(host, times):
            head = f"{name}{{{host.target}{labels}}} "
            yield "".join(
                f"{head}{value:.15g}{stamp}"
                for value, stamp in zip(column.tolist(), stamps, strict=True)
            )
    yield "# EOF\n"


def _series(host: Host, times: Column) -> Iterator[tuple[str, str, Column]]:
    """Yield name, further labels and values of every series of a host."""
    kind, one = host.kind, np.ones(len(times))
    yield "inferwatch_build_info", ',version="0.1.0"', one
    each = 8 // kind.engines
    for gpu in range(8):
        labels = f',gpu="{gpu}",uuid="GPU-{host.number:04d}-{gpu}"'
        about = f'{labels},name="{kind.gpu_type}"'
        if gpu < each * kind.engines:
            engine = f',engine="vllm",instance_name="vllm-{8000 + gpu // each}"{labels}'
            yield "inferwatch_engine_gpu", f'{engine},evidence="process"', one
        yield "inferwatch_gpu_info", f'{about},driver_version="580.95"', one
        yield "inferwatch_gpu_utilization_ratio", labels, BUSY * one
        yield "inferwatch_gpu_memory_used_bytes", labels, 72e9 * one
        yield "inferwatch_gpu_memory_total_bytes", labels, 80e9 * one
        yield "inferwatch_gpu_power_watts", labels, 500.0 * one
    yield "inferwatch_spend_per_hour", ',currency="EUR"', 8 * PRICE * one
    firing = ((times // 3600 + host.number) % 24 == 0).astype(np.float64)
    yield "inferwatch_alerts", ',alertname="EngineHeadroomLow",state="firing"', firing
    for number in range(kind.engines):
        labels = (
            f',engine="vllm",instance_name="vllm-{8000 + number}",model_name="{kind.model_name}"'
        )
        yield from _engine(host, f'{labels},rank="0"', times)


def _engine(host: Host, labels: str, times: Column) -> Iterator[tuple[str, str, Column]]:
    """Yield every series of one engine."""
    kind, one = host.kind, np.ones(len(times))
    mean = kind.tokens_per_minute * host.share
    load, so_far = wave(times), passed(times)
    for name, share in (
        ("prompt_tokens", PROMPT),
        ("generation_tokens", 1 - PROMPT),
        ("prompt_tokens_cached", PROMPT * CACHED),
    ):
        yield f"inferwatch_engine_{name}_total", labels, mean * share * so_far
    asked = mean * load
    yield "inferwatch_engine_requests_running", labels, 32 * load
    yield "inferwatch_engine_requests_waiting", labels, np.maximum(load - 1.6, 0.0) * 10
    yield "inferwatch_engine_kv_cache_usage_ratio", labels, 0.4 * load
    yield "inferwatch_engine_demand_tokens_per_minute", f'{labels},phase="total"', asked
    if host.known:
        for bound, width in (("low", 1.0), ("estimate", 1.1), ("high", 1.2)):
            further = f'{labels},phase="total",bound="{bound}"'
            able = kind.capacity * width * one
            yield "inferwatch_engine_capacity_tokens_per_minute", further, able
            yield "inferwatch_engine_stability_limit_tokens_per_minute", further, 1.2 * able
        yield "inferwatch_engine_headroom_tokens_per_minute", labels, kind.capacity - asked
        for limit in ("inter_token", "time_to_first_token", "sequence_limit"):
            yield (
                "inferwatch_engine_capacity_binding",
                f'{labels},limit="{limit}"',
                one * (limit == "inter_token"),
            )
        yield "inferwatch_engine_capacity_source", f'{labels},source="learned"', one
        yield "inferwatch_engine_capacity_source", f'{labels},source="declared"', 0 * one
    busy = load > 1.5
    for cause in CAUSES:
        held = {"healthy": ~busy, "sequence_limit": busy}.get(cause, np.zeros(len(times)))
        yield "inferwatch_engine_verdict", f'{labels},cause="{cause}"', held.astype(np.float64)
    gap = (GAP[0] * (1 - delayed(times)) + GAP[1] * delayed(times)) * host.slow
    yield (
        "inferwatch_engine_latency_mean_seconds",
        f'{labels},quantity="inter_token"',
        gap,
    )
    yield (
        "inferwatch_engine_cost_per_hour",
        f'{labels},currency="EUR"',
        one * PRICE * 8 / kind.engines,
    )
    slow = 0.2 * passed_square(times)
    for name, bounds, means, count in (
        ("time_to_first_token_seconds", FIRST, FIRST_TOKEN, mean / REQUEST),
        ("inter_token_latency_seconds", GAPS, GAP, mean * (1 - PROMPT)),
    ):
        for le in bounds:
            quick, late = (1.0 if le == "+Inf" else 1 - math.exp(-float(le) / m) for m in means)
            yield (
                f"inferwatch_engine_{name}_bucket",
                f'{labels},le="{le}"',
                count * ((so_far - slow) * quick + slow * late),
            )


def tokens_per_minute(several: Sequence[Host], time: float, *, of: str | None = None) -> float:
    """Return what all engines, or those of a model, serve at a moment."""
    load = float(wave(np.array([time]))[0])
    return load * sum(
        one.kind.tokens_per_minute * one.kind.engines * one.share
        for one in several
        if of in (None, one.kind.model_name)
    )
