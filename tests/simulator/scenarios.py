"""All scenarios by name: labelled, seeded, each with a law of its own.

    for frame, truth in SCENARIOS["kv_memory-1"].run(table): ...

The number at the end of a name is the seed. Seeds stand in a list where chance can miss what the
scenario is about; which ones those are was decided by the truth alone.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.model import Frame, SeriesTable
from tests.simulator import causes, futures, small_caches
from tests.simulator.simulation import Simulation
from tests.simulator.truth import Cause, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run of a simulated host.

    Attributes:
        name: what it is about, and its seed.
        cause: what binds the engine at its height; None where that is not the question.
        exhausts: what runs out: `kv`, `device_memory` or `host_memory`; empty for nothing.
        kind: `cause`, `forecast`, `quiet` where nothing should be said, `day` for a whole one,
            `small` for those of a small KV cache, of which some are exhausted and some are not.
        build: makes it.
    """

    name: str
    cause: Cause | None
    exhausts: str
    kind: str
    build: Callable[[random.Random], Simulation]

    def simulate(self, *, pages_only: bool = False) -> Simulation:
        """Return the host at its beginning; without GPUs, processes and host if so wanted."""
        simulation = self.build(random.Random(self.name))
        if pages_only:
            simulation.cards = ()
            simulation.host = None
            simulation.processes = False
        return simulation

    def run(self, table: SeriesTable, *, pages_only: bool = False) -> Iterator[tuple[Frame, Truth]]:
        """Yield frame and truth of each second."""
        return self.simulate(pages_only=pages_only).run(table)


_CAUSES: Final[Mapping[Cause, Callable[[random.Random], Simulation]]] = {
    Cause.IDLE: causes.idle,
    Cause.HEALTHY: causes.healthy,
    Cause.SEQUENCE_LIMIT: causes.sequence_limit,
    Cause.KV_MEMORY: causes.kv_memory,
    Cause.DECODE_BANDWIDTH: causes.decode_bandwidth,
    Cause.PREFILL_COMPUTE: causes.prefill_compute,
    Cause.TOKEN_BUDGET: causes.token_budget,
    Cause.HOST_CPU: causes.host_cpu,
    Cause.POWER_THERMAL: causes.power_thermal,
    Cause.CO_TENANT: causes.co_tenant,
    Cause.STALLED: causes.stalled,
}
_MORE: Final[Mapping[str, tuple[Cause, Callable[[random.Random], Simulation]]]] = {
    "cpu_starved": (Cause.HOST_CPU, causes.cpu_starved),
}
_EXHAUSTING: Final[Mapping[str, tuple[str, Callable[[random.Random], Simulation]]]] = {
    "kv_slow_ramp": ("kv", futures.kv_slow_ramp),
    "kv_fast_ramp": ("kv", futures.kv_fast_ramp),
    "kv_jump": ("kv", futures.kv_jump),
    "kv_longer_answers": ("kv", futures.kv_longer_answers),
    "device_leak": ("device_memory", futures.device_leak),
    "tenant_leak": ("device_memory", futures.tenant_leak),
    "host_leak": ("host_memory", futures.host_leak),
}
_QUIET: Final[Mapping[str, Callable[[random.Random], Simulation]]] = {
    "full_without_waiting": futures.full_without_waiting,
    "short_queue": futures.short_queue,
    "kv_sawtooth": futures.kv_sawtooth,
    "kv_burst": futures.kv_burst,
    "kv_steady_high": futures.kv_steady_high,
    "preallocation": futures.preallocation,
    "breathing_tenant": futures.breathing_tenant,
    "harmless_clocks": futures.harmless_clocks,
    "harmless_host": futures.harmless_host,
}
_SMALL: Final[Mapping[str, tuple[str, Callable[[random.Random], Simulation]]]] = {
    "kv_small_ramp": ("kv", small_caches.kv_small_ramp),
    "kv_limited_queue": ("", small_caches.kv_limited_queue),
    "kv_starved": ("", small_caches.kv_starved),
    "kv_small_day": ("", small_caches.kv_small_day),
}
_SEEDS: Final[Mapping[str, tuple[int, ...]]] = {
    "healthy": (0, 1, 2, 4, 5, 6, 7, 8),
    "decode_bandwidth": (2, 4, 5, 6, 8, 9),
    "prefill_compute": (0, 1, 2, 3, 4, 5, 6, 8),
    "power_thermal": (0, 1, 3, 5, 6, 8, 9, 10),
    "stalled": (0, 1, 2, 3, 4, 5, 7, 10),
    "kv_slow_ramp": (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19),
    "kv_fast_ramp": (0, 1, 3, 5, 6, 8, 11),
    "kv_jump": (0, 1, 2, 3, 4, 6, 8, 9),
    "kv_longer_answers": (0, 1, 4, 5, 6, 9, 11),
    "kv_burst": (0, 1, 2, 4, 6, 7),
    "kv_steady_high": (0, 2, 3, 4, 5, 6),
    "harmless_host": (0, 1, 2, 4),
    "kv_small_ramp": (2, 3, 4, 5, 6, 7, 9, 11, 13),
    "quiet_day": (0, 1, 2, 3),
}
_SHARES: Final[Mapping[str, float]] = {
    "kv_slow_ramp": 4.0,
    "kv_small_ramp": 2.0,
    "quiet_day": 0.5,
}
"""How many of a kind are held out, as a share of the usual number."""


def _seeds(name: str) -> Sequence[int]:
    """Return the seeds of a kind of scenario."""
    return _SEEDS.get(name, (0, 1, 2, 3, 4, 5))


def _all(seeds: Callable[[str], Sequence[int]]) -> Iterator[Scenario]:
    """Yield every scenario, given the seeds of each kind."""
    kinds = [
        *((cause.value, cause, "", "cause", build) for cause, build in _CAUSES.items()),
        *((name, cause, "", "cause", build) for name, (cause, build) in _MORE.items()),
        *((name, None, what, "forecast", make) for name, (what, make) in _EXHAUSTING.items()),
        *((name, None, "", "quiet", make) for name, make in _QUIET.items()),
        *((name, None, what, "small", make) for name, (what, make) in _SMALL.items()),
        ("quiet_day", None, "", "day", futures.quiet_day),
    ]
    for name, cause, what, kind, build in kinds:
        for seed in seeds(name):
            yield Scenario(
                name=f"{name}-{seed}", cause=cause, exhausts=what, kind=kind, build=build
            )


def held_out(*, first: int = 1000, each: int = 4) -> dict[str, Scenario]:
    """Return scenarios of every kind with seeds that nothing was made with, nor looked at.

    Chance may have some of them miss what their name says; their truth is what counts.

    Args:
        first: their first seed.
        each: how many of each kind that is about a cause or about nothing; of what runs out twice
            as many, of slow ramps four times, for each of them gives one exhaustion at most; of
            whole days half.
    """

    def seeds(name: str) -> range:
        many = round(each * _SHARES.get(name, 2.0 if name in _EXHAUSTING else 1.0))
        return range(first, first + max(many, 1))

    return {one.name: one for one in _all(seeds)}


SCENARIOS: Final[Mapping[str, Scenario]] = {one.name: one for one in _all(_seeds)}
