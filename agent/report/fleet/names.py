"""What the recording rules of a fleet record; `deploy/prometheus/fleet.yml` is where."""

from typing import Final

RULES: Final = "deploy/prometheus/fleet.yml"

_FLEET: Final = "inferwatch:fleet_"

HOSTS: Final = f"{_FLEET}hosts:count"
REPLICAS: Final = f"{_FLEET}replicas:count"
TOKENS: Final = f"{_FLEET}tokens_per_minute:sum"
DEMAND: Final = f"{_FLEET}demand_tokens_per_minute:sum"
CAPACITY_REPLICAS: Final = f"{_FLEET}capacity_replicas:count"
CAPACITY: Final = f"{_FLEET}capacity_tokens_per_minute:sum"
STABILITY: Final = f"{_FLEET}stability_limit_tokens_per_minute:sum"
BINDING: Final = f"{_FLEET}capacity_binding:sum"
DECLARED: Final = f"{_FLEET}capacity_declared:sum"
RUNNING: Final = f"{_FLEET}requests_running:sum"
WAITING: Final = f"{_FLEET}requests_waiting:sum"
KV_USAGE: Final = f"{_FLEET}kv_cache_usage_ratio:max"
VERDICT: Final = f"{_FLEET}verdict:sum"
COST: Final = f"{_FLEET}cost_per_hour:sum"
VALUE: Final = f"{_FLEET}token_value_per_hour:sum"
FIRST_TOKEN: Final = f"{_FLEET}time_to_first_token_seconds_bucket:rate5m"
INTER_TOKEN: Final = f"{_FLEET}inter_token_latency_seconds_bucket:rate5m"
GPUS: Final = f"{_FLEET}gpus:sum"
GPUS_BUSY: Final = f"{_FLEET}gpus_busy:sum"
GPU_MEMORY_USED: Final = f"{_FLEET}gpu_memory_used_bytes:sum"
GPU_MEMORY_TOTAL: Final = f"{_FLEET}gpu_memory_total_bytes:sum"
GPU_POWER: Final = f"{_FLEET}gpu_power_watts:sum"
GPUS_INSTALLED: Final = f"{_FLEET}gpus_installed:count"
ALERTS: Final = f"{_FLEET}alerts_firing:sum"
OUTLIER: Final = f"{_FLEET}outlier:ratio"

ALWAYS: Final = (HOSTS, TOKENS, DEMAND, RUNNING, WAITING, VERDICT)
"""What is recorded wherever there are replicas: where one is missing, a rule is."""
