"""What the page shows, made up: one engine on one GPU, and whatever a test makes of it."""

from typing import Any

from agent.catalog import agent as catalog
from agent.catalog import gpu, host
from agent.model import Metric
from exporters.web.seen import Alert, Course, Sample, Seen, SourceLine

TIME = 1_800_000_000.0
GPU = {"gpu": "0", "uuid": "GPU-1", "mig": ""}
WHO = {"engine": "vllm", "instance_name": "chat", "model_name": "llama", "rank": "0"}
BOUNDS = {"low_seconds": 30.0, "estimate_seconds": 40.0, "high_seconds": 125.0}


def replica(*, cause: str = "healthy", advice: str = "", **who: str) -> dict[str, Any]:
    """Return a replica as `/api/v1/engines` has it."""
    return {
        **WHO,
        **who,
        "verdict": {
            "cause": cause,
            "since": TIME - 90.0,
            "sentence": "3 requests run and none waits",
            "suggestion": advice,
            "numbers": {
                "requests_running": 3.0,
                "requests_waiting": 0.0,
                "max_num_seqs": 16.0,
                "kv_cache_usage_ratio": 0.42,
                "kv_cache_capacity_tokens": 4064.0,
            },
        },
        "latency": {
            "recent": {
                "time_to_first_token_seconds": {"p95": 0.25},
                "inter_token_seconds": {"p95": 0.031},
            }
        },
        "forecasts": {
            "kv_exhaustion": None,
            "first_preemption": None,
            "kv_exhaustion_probability": None,
            "kv_expected_ratio": None,
            "horizon_seconds": 900.0,
            "known": True,
        },
    }


def carried(*, known: bool = True, **who: str) -> dict[str, Any]:
    """Return a replica as `/api/v1/capacity` has it."""
    able = {"low": 50_000.0, "estimate": 60_000.0, "high": 70_000.0} if known else None
    return {
        **WHO,
        **who,
        "identifiable": known,
        "not_identifiable_because": None if known else "5 stretches of work were seen",
        "binding_limit": "kv_memory" if known else None,
        "capacity_tokens_per_minute": able,
        "declared_tokens_per_minute": None,
        "demand_tokens_per_minute": {"total": 20_000.0, "prompt": 8_000.0, "generation": 12_000.0},
        "demand_requests_per_minute": 60.0,
        "headroom_tokens_per_minute": 30_000.0 if known else None,
        "headroom_ratio": 0.6 if known else None,
        "cost": {
            "currency": "USD",
            "cost_per_hour": None,
            "cost_per_million_tokens_now": None,
        },
    }


def alert(name: str = "KvCacheFull", severity: str = "critical", **changed: Any) -> Alert:
    """Return an alert that fires."""
    told: dict[str, Any] = {
        "name": name,
        "severity": severity,
        "firing": True,
        "summary": f"{name} it is",
        "description": "Do something.",
        "about": "instance_name chat",
        "since": TIME - 65.0,
        "kept_since": None,
        "runbook": "https://runbooks.example/x#kv",
        "instance_name": "chat",
    }
    return Alert(**(told | changed))


def samples(*, up: float = 1.0) -> dict[Metric, list[Sample]]:
    """Return what the frame says of the engine, the GPU and the host."""
    instance = {"engine": "vllm", "instance_name": "chat"}
    facts = GPU | {"name": "NVIDIA H100", "driver_version": "580.1"}
    return {
        catalog.ENGINE_UP: [Sample(instance, up)],
        gpu.INFO: [Sample(facts, 1.0)],
        gpu.UP: [Sample(GPU, 1.0)],
        gpu.MEMORY_USED: [Sample(GPU, 40.0 * 2**30)],
        gpu.MEMORY_TOTAL: [Sample(GPU, 80.0 * 2**30)],
        gpu.UTILIZATION: [Sample(GPU, 0.5)],
        host.MEMORY_AVAILABLE: [Sample({}, 8.0 * 2**30)],
        host.MEMORY_TOTAL: [Sample({}, 16.0 * 2**30)],
    }


def course(*values: float, first: float = TIME - 50.0, step: float = 10.0, **labels: str) -> Course:
    """Return a series whose samples begin at a moment; by default some of the engine's."""
    values = values or (0.1, 0.4, 0.2, 0.3, 0.2, 0.1)
    times = [first + step * number for number in range(len(values))]
    return Course(labels=WHO | labels, times=times, values=values)


def seen(**changed: Any) -> Seen:
    """Return what there is to show."""
    told: dict[str, Any] = {
        "host": "gpu-host:9745",
        "time": TIME,
        "silence": "",
        "banner": "",
        "looked_for": ["Looked for: engines.", "To do: start one."],
        "engines": {
            "replicas": [replica()],
            "placement": [GPU | {"engine": "vllm", "instance_name": "chat"}],
            "memory_forecasts": [],
            "deaths": [],
        },
        "capacity": {"replicas": [carried()], "gpus": [], "demand": {"models": []}},
        "alerts": [],
        "sources": [
            SourceLine(name="nvml", state="up", detail="90 series"),
            SourceLine(name="engine/chat", state="up", detail="200 series"),
        ],
        "pages": ["chat"],
        "samples": samples(),
    }
    return Seen(**(told | changed))


def empty(**changed: Any) -> Seen:
    """Return a host with neither GPU nor engine."""
    absent = SourceLine(name="nvml", state="absent", detail="there is no libnvidia-ml.so.1")
    bare: dict[str, Any] = {
        "engines": {"replicas": [], "placement": [], "memory_forecasts": [], "deaths": []},
        "capacity": {"replicas": [], "gpus": [], "demand": {"models": []}},
        "sources": [absent],
        "pages": [],
        "samples": {},
    }
    return seen(**(bare | changed))
