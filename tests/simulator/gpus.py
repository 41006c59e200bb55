"""What NVML shows of the GPUs below simulated engines, in its own units and rounding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.catalog import gpu as catalog
from agent.model import Metric
from collectors.nvml.probes import REASONS
from tests.fakes.nvml.controller import Process, StubDriver
from tests.simulator.disturb import Around
from tests.simulator.limits import Spent

GIB: Final = float(1 << 30)
_TENANT_PID: Final = 9000
_GPM: Final = {
    1: catalog.GRAPHICS_ACTIVITY,
    2: catalog.SM_ACTIVITY,
    3: catalog.SM_OCCUPANCY,
    5: catalog.TENSOR_ACTIVITY,
    10: catalog.DRAM_ACTIVITY,
}


@dataclass(slots=True, kw_only=True)
class Card:
    """One GPU and what is on it.

    Attributes:
        index: as the driver numbers it.
        total: bytes of device memory.
        reserved: of them, kept by the driver.
        clock: highest SM clock in MHz.
        idle_watts: drawn without work.
        limit_watts: power limit.
        engines: bytes that each engine process holds, by pid.
        grows: pid of the engine whose memory `Around.engine_memory` is.
    """

    index: int
    total: float = 80 * GIB
    reserved: float = GIB
    clock: int = 1980
    idle_watts: float = 90.0
    limit_watts: float = 700.0
    engines: dict[int, float] = field(default_factory=dict)
    grows: int = 0
    energy: int = 1_000_000
    state: dict[str, int] = field(default_factory=dict)
    gpm: dict[int, float] = field(default_factory=dict)
    processes: dict[int, int] = field(default_factory=dict)
    reasons: int = 0

    @property
    def uuid(self) -> str:
        """Return its identifier, that of the stub driver's GPU of the same index."""
        return f"GPU-{self.index:08x}-1111-2222-3333-444444444444"

    def work(self, spent: Sequence[Spent], around: Around) -> None:
        """Let a second pass in which engines worked on it, and who else there is."""
        busy = min(1.0, sum(one.gpu for one in spent))
        compute = min(1.0, sum(one.compute for one in spent) / around.conditions.clock)
        memory = min(1.0, sum(one.memory for one in spent))
        # With other tenants an engine's kernels are spread over more time, not more of them.
        sm = min(1.0, busy * around.conditions.share * 0.95 + 0.9 * around.tenant)
        dram = min(1.0, 0.85 * memory + 0.4 * around.tenant)
        tensor = min(1.0, 0.7 * compute + 0.3 * around.tenant)
        effort = min(1.0, 0.25 * sm + 0.4 * tensor + 0.35 * dram)
        clock = around.conditions.clock
        watts = self.idle_watts + (self.limit_watts - self.idle_watts) * effort * clock**2
        if around.reasons & 0x4:
            watts = max(watts, 0.97 * self.limit_watts)
        power = round(1000.0 * watts)
        self.energy += power
        self.processes = {
            pid: round(held + (around.engine_memory if pid == self.grows else 0.0))
            for pid, held in self.engines.items()
        }
        if around.tenant_memory:
            self.processes[_TENANT_PID + self.index] = round(around.tenant_memory)
        room = round(self.total - self.reserved)
        used = min(room, sum(self.processes.values()))
        self.reasons = around.reasons if sm > 0.01 or around.reasons else 0x1
        self.gpm = {
            1: 100.0 * min(1.0, busy + around.tenant),
            2: 100.0 * sm,
            3: 45.0 * sm,
            5: 100.0 * tensor,
            10: 100.0 * dram,
        }
        self.state = {
            "memory_used": used,
            "memory_free": room - used,
            "memory_reserved": round(self.reserved),
            "memory_total": round(self.total),
            "utilization_gpu": round(100.0 * min(1.0, busy + around.tenant)),
            "utilization_memory": round(100.0 * dram),
            "power_usage": power,
            "clock_sm": round(self.clock * clock / 15.0) * 15,
        }

    @property
    def free(self) -> int:
        """Return the bytes of device memory that are left."""
        return self.state["memory_free"]

    def show(self, driver: StubDriver) -> None:
        """Let the stub driver show it; the caller writes."""
        gpu = driver.gpu(self.index)
        for name, value in self.state.items():
            setattr(gpu, name, value)
        gpu.clock_sm_max = self.clock
        gpu.power_limit = round(1000.0 * self.limit_watts)
        gpu.clocks_event_reasons = self.reasons
        gpu.energy = gpu.fields[83] = self.energy
        gpu.gpm.update(self.gpm)
        gpu.processes = [Process(pid=pid, memory=held) for pid, held in self.processes.items()]

    def samples(self) -> Iterator[tuple[Metric, dict[str, str], float]]:
        """Yield metric, labels beside those of the GPU, and value, as the collector gives them."""
        state = self.state
        for name in ("used", "free", "reserved", "total"):
            metric = catalog.BY_COLUMN[f"memory_{name}_bytes"]
            yield metric, {}, float(state[f"memory_{name}"])
        yield catalog.UTILIZATION, {}, state["utilization_gpu"] * 0.01
        yield catalog.MEMORY_UTILIZATION, {}, state["utilization_memory"] * 0.01
        yield catalog.POWER, {}, state["power_usage"] * 0.001
        yield catalog.ENERGY, {}, self.energy * 0.001
        yield catalog.SM_CLOCK, {}, state["clock_sm"] * 1e6
        yield catalog.SM_CLOCK_MAX, {}, self.clock * 1e6
        yield catalog.POWER_LIMIT, {}, self.limit_watts
        yield catalog.UP, {}, 1.0
        for bit, reason in REASONS:
            yield catalog.CLOCKS_EVENT_REASON, {"reason": reason}, float(bool(self.reasons & bit))
        for number, metric in _GPM.items():
            yield metric, {}, self.gpm[number] * 0.01
        for pid, held in self.processes.items():
            name = "tenant" if pid >= _TENANT_PID else "VLLM::EngineCor"
            yield catalog.PROCESS_MEMORY, {"pid": str(pid), "process": name}, float(held)
