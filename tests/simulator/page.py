"""The page of a simulated vLLM: families, labels and buckets of a page captured from a real one.

A page is made from the numbers of `Engine.flat`, one list a rank. Where nothing is simulated
(what the interpreter says, image caches, sizes of HTTP bodies) a page holds zeros, or what was
captured.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from tests.fakes.engine_server import capture
from tests.simulator.limits import Limits
from tests.simulator.meter import Meter

MODEL: Final = "mid"

_PLAIN: Final[Mapping[str, str]] = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    'vllm:num_requests_waiting_by_reason,reason="capacity"': "waiting",
    "vllm:kv_cache_usage_perc": "usage",
    "vllm:prefix_cache_queries_total": "queries",
    "vllm:prefix_cache_hits_total": "hits",
    "vllm:num_preemptions_total": "preemptions",
    "vllm:prompt_tokens_total": "prompt",
    'vllm:prompt_tokens_by_source_total,source="local_compute"': "computed",
    'vllm:prompt_tokens_by_source_total,source="local_cache_hit"': "cached",
    "vllm:prompt_tokens_cached_total": "cached",
    'vllm:prompt_tokens_cached_by_source_total,source="device"': "cached",
    "vllm:generation_tokens_total": "generation",
    'vllm:request_success_total,finished_reason="length"': "length",
}
"""Sample, and the label beside model and rank that matters, to the number that it shows."""

_ALIKE: Final[Mapping[str, str]] = {
    "request_max_num_generation_tokens": "request_generation_tokens",
    "request_params_max_tokens": "request_generation_tokens",
}
_SAMPLE: Final = re.compile(r"^([a-zA-Z0-9_:]+)(?:\{(.*)\})? (\S+)$")
_KEPT: Final = ("python_", "process_max_fds", "vllm:engine_sleep_state", "vllm:cache_config_info")
_ABOUT: Final = re.compile(r'(?:^|,)(reason|source|finished_reason)="[^"]*"')

Part = str | tuple[int, int]
"""Text, or the number of one rank at a place of its list."""


class PageTemplate:
    """Writes the pages of one server.

    Args:
        limits: what the server was started with.
        model: name of its model.
        ranks: data-parallel replicas behind the one page.
    """

    def __init__(self, limits: Limits, *, model: str = MODEL, ranks: int = 1) -> None:
        self._limits = limits
        self._model = model
        self._ranks = ranks
        self._meter = Meter(limits.max_model_len)
        self._places = self._meter.places()
        self._done: set[str] = set()
        self._parts: list[Part] = []
        self._start: list[int] = []
        for line in capture("vllm-04-saturated.prom").decode().splitlines():
            self._add(line)

    def write(self, flats: Sequence[Sequence[float]], *, start: float) -> bytes:
        """Return a page.

        Args:
            flats: `Engine.flat` of each rank.
            start: Unix seconds at which the server started.
        """
        parts = [
            part if isinstance(part, str) else repr(float(flats[part[0]][part[1]]))
            for part in self._parts
        ]
        for at in self._start:
            parts[at] = repr(start)
        return "".join(parts).encode()

    def documents(self) -> dict[str, object]:
        """Return what the server says beside its page, by path."""
        model = {
            "id": self._model,
            "object": "model",
            "created": 1795244628,
            "owned_by": "vllm",
            "root": f"/srv/models/{self._model}",
            "parent": None,
            "max_model_len": self._limits.max_model_len,
        }
        return {
            "/version": {"version": "0.32.0"},
            "/v1/models": {"object": "list", "data": [model]},
        }

    def _add(self, line: str) -> None:
        """Take over one line of the captured page."""
        found = _SAMPLE.match(line)
        if line.startswith("#") or found is None:
            self._parts.append(line + "\n")
            return
        name, labels, value = found[1], found[2] or "", found[3]
        labels = labels.replace('model_name="tiny"', f'model_name="{self._model}"')
        if 'engine="0"' not in labels:
            self._add_sample(name, labels, value, 0)
            return
        if name == "vllm:cache_config_info":
            labels = self._configuration(labels)
        for rank in range(self._ranks):
            self._add_sample(name, labels.replace('engine="0"', f'engine="{rank}"'), value, rank)

    def _configuration(self, labels: str) -> str:
        """Return the labels of the cache's configuration."""
        limits = self._limits
        for name, value in (
            ("block_size", limits.block_size),
            ("num_gpu_blocks", limits.num_blocks * self._ranks),
            ("num_gpu_blocks_override", "None"),
            ("kv_cache_size_tokens", limits.num_blocks * limits.block_size),
            ("enable_prefix_caching", limits.prefix_caching),
        ):
            labels = re.sub(rf'(^|,){name}="[^"]*"', rf'\g<1>{name}="{value}"', labels)
        return labels

    def _add_sample(self, name: str, labels: str, value: str, rank: int) -> None:
        """Take over one sample for one rank."""
        head = f"{name}{{{labels}}} " if labels else f"{name} "
        family, _, part = name.removeprefix("vllm:").rpartition("_")
        source = _ALIKE.get(family, family)
        about = _ABOUT.search(labels)
        key = f"{name},{about[0].lstrip(',')}" if about else name
        if name == "process_start_time_seconds" or name.endswith("_created"):
            self._parts.append(head)
            self._start.append(len(self._parts))
            self._parts += ("", "\n")
        elif name == "http_requests_total":
            self._number(head, rank, "length", "")
        elif key in _PLAIN:
            self._number(head, rank, _PLAIN[key], "")
        elif source in self._meter.tallies and part == "bucket":
            self._buckets(name, labels, rank, source)
        elif source in self._meter.tallies and part in {"count", "sum"}:
            self._number(head, rank, source, part)
        elif family == "request_params_n":
            self._number(head, rank, "length", "")
        else:
            kept = name.startswith(_KEPT)
            self._parts.append(f"{head}{value if kept else 0.0}\n")

    def _number(self, head: str, rank: int, name: str, part: str) -> None:
        """Show a number."""
        self._parts += (head, (rank, self._places[name, part]), "\n")

    def _buckets(self, name: str, labels: str, rank: int, source: str) -> None:
        """Show all buckets of a histogram where the captured page has its first one."""
        if f"{name} {rank}" in self._done:
            return
        self._done.add(f"{name} {rank}")
        bounds = [
            part for family, part in self._places if family == source and part[:1] in "+0123456789"
        ]
        for bound in bounds:
            own = re.sub(r'le="[^"]*"', f'le="{bound}"', labels)
            self._number(f"{name}{{{own}}} ", rank, source, bound)
