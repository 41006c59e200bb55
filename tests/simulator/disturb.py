"""What goes on around a simulated engine: throttled clocks, other tenants, busy hosts, stalls.

Each happens from one second to another, and says how it changes the steps of the engine, and what
NVML and the host show of it.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.simulator.law import NORMAL, Conditions
from tests.simulator.truth import Cause


@dataclass(slots=True)
class Around:
    """What surrounds an engine in one second.

    Attributes:
        conditions: of its steps.
        reasons: NVML's mask of why clocks are held down.
        tenant: share of the GPU's time that other processes use.
        tenant_memory: bytes of device memory that they hold.
        cores: CPU cores that other programs use.
        server: CPU cores that the engine's API server uses over its normal work.
        core: likewise of the process that schedules and steps.
        starved: what the GPU waits for is that process, which waits for a CPU.
        host_memory: bytes of main memory gone, over the normal.
        engine_memory: bytes of device memory that the engine holds, over the normal.
        causes: causes of lengthening.
        down: the page cannot be read.
    """

    conditions: Conditions = NORMAL
    reasons: int = 0
    tenant: float = 0.0
    tenant_memory: float = 0.0
    cores: float = 0.0
    server: float = 0.0
    core: float = 0.0
    starved: bool = False
    host_memory: float = 0.0
    engine_memory: float = 0.0
    causes: list[Cause] = field(default_factory=list)
    down: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """Something from one second to another; nothing by itself."""

    begin: float = 0.0
    end: float = math.inf

    def apply(self, around: Around, time: float) -> None:
        """Change what surrounds the engine in the second that begins now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle(Disturbance):
    """Clocks are held down.

    Attributes:
        clock: against the highest.
        reasons: NVML's mask: 0x4 power cap, 0x20 and 0x40 thermal, 0x80 power brake.
        period: seconds of a swing between throttled and free, 0 for none.
    """

    clock: float
    reasons: int = 0x4
    period: float = 0.0

    def apply(self, around: Around, time: float) -> None:
        """Slow arithmetic down."""
        if self.period and (time - self.begin) % self.period > 0.5 * self.period:
            return
        around.conditions = replace(around.conditions, clock=self.clock)
        around.reasons |= self.reasons
        around.causes.append(Cause.POWER_THERMAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant(Disturbance):
    """Another process works on the GPU.

    Attributes:
        load: share of the GPU's time that it takes.
        memory: bytes of device memory that it holds.
        growth: bytes by which that grows each second.
        step: bytes at once that it takes or gives, every `period` seconds.
    """

    load: float = 0.0
    memory: float = 8e9
    growth: float = 0.0
    step: float = 0.0
    period: float = 60.0

    def apply(self, around: Around, time: float) -> None:
        """Take a share of the GPU."""
        if self.load:
            share = around.conditions.share * (1.0 - self.load)
            around.conditions = replace(around.conditions, share=share)
            around.tenant += self.load
            around.causes.append(Cause.CO_TENANT)
        past = time - self.begin
        around.tenant_memory += self.memory + self.growth * past
        if self.step and past % self.period > 0.5 * self.period:
            around.tenant_memory += self.step


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLoad(Disturbance):
    """The host keeps the GPU waiting.

    Attributes:
        host: seconds of each step during which the GPU waits, over the law's own.
        server: cores that the API server uses more, as by tokenising.
        core: cores that the scheduling process uses more.
        cores: cores that other programs use.
        starved: whether that is because the scheduling process has to wait for a CPU.
    """

    host: float
    starved: bool = False
    server: float = 0.0
    core: float = 0.0
    cores: float = 0.0

    def apply(self, around: Around, time: float) -> None:  # noqa: ARG002 - steady
        """Lengthen each step by host work."""
        host = around.conditions.host + self.host
        around.conditions = replace(around.conditions, host=host)
        around.server += self.server
        around.core += self.core
        around.cores += self.cores
        around.starved |= self.starved
        around.causes.append(Cause.HOST_CPU)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(Disturbance):
    """No step begins, as when a collective operation or a driver call hangs."""

    def apply(self, around: Around, time: float) -> None:  # noqa: ARG002 - steady
        """Stop the engine."""
        around.conditions = replace(around.conditions, stalled=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Down(Disturbance):
    """The page cannot be read."""

    def apply(self, around: Around, time: float) -> None:  # noqa: ARG002 - steady
        """Hide the engine."""
        around.down = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLeak(Disturbance):
    """Main memory goes away.

    Attributes:
        growth: bytes a second.
        wobble: bytes by which it swings besides.
    """

    growth: float
    wobble: float = 0.0

    def apply(self, around: Around, time: float) -> None:
        """Take memory."""
        swing = self.wobble * math.sin(time / 7.0)
        around.host_memory += self.growth * (time - self.begin) + swing


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineGrowth(Disturbance):
    """The engine's own processes take more device memory outside the KV pool.

    Attributes:
        growth: bytes a second.
        step: bytes once at the beginning, as when a graph is captured.
    """

    growth: float = 0.0
    step: float = 0.0

    def apply(self, around: Around, time: float) -> None:
        """Take memory."""
        around.engine_memory += self.step + self.growth * (time - self.begin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow(Disturbance):
    """Everything takes longer, as in the first steps after a start.

    Attributes:
        slow: by how much.
    """

    slow: float

    def apply(self, around: Around, time: float) -> None:  # noqa: ARG002 - steady
        """Slow all steps down."""
        around.conditions = replace(around.conditions, slow=self.slow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise(Disturbance):
    """Single seconds in which everything takes longer.

    Attributes:
        share: of the seconds.
        slow: by how much, at most.
        seed: which seconds.
    """

    share: float = 0.02
    slow: float = 2.5
    seed: int = 0

    def apply(self, around: Around, time: float) -> None:
        """Slow some seconds down."""
        dice = random.Random(self.seed * 1_000_003 + int(time))
        if dice.random() < self.share:
            slow = dice.uniform(1.2, self.slow)
            around.conditions = replace(around.conditions, slow=slow)


def surroundings(disturbances: Sequence[Disturbance], time: float) -> Around:
    """Return what surrounds an engine in the second that begins at `time`."""
    around = Around()
    for one in disturbances:
        if one.begin <= time < one.end:
            one.apply(around, time)
    return around
