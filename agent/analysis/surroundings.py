"""What goes on around an engine: its processes, its GPUs, and who else is on them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agent.analysis.window import View, growth, mean
from agent.catalog import gpu, process

SPAN: Final = 15.0
"""Seconds that are looked at."""

SLOWING: Final = (
    "software_power_cap",
    "hardware_slowdown",
    "software_thermal_slowdown",
    "hardware_thermal_slowdown",
    "hardware_power_brake",
)
"""Reasons for lower clocks that are trouble; the others are a choice or an idle GPU."""

STEPPING: Final = ("core", "worker")
"""Roles of the processes that a step goes through."""

_GPUS: Final = (
    (gpu.SM_ACTIVITY,),
    (gpu.UTILIZATION,),
    (gpu.DRAM_ACTIVITY,),
    (gpu.SM_CLOCK,),
    (gpu.SM_CLOCK_MAX,),
    *((gpu.CLOCKS_EVENT_REASON, reason) for reason in SLOWING),
)
_NAN: Final = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Numbers of the trailing seconds; NaN where there are none.

    Attributes:
        cores: CPU cores that the engine's processes of each role keep busy.
        waits: share of the time for which a process of each role was ready to run and had no CPU.
        throttled: share of the periods in which the engine's CPU quota was used up.
        quota: cores that this quota is.
        gpu_activity: share of time in which the SMs of its GPUs have work, their mean.
        dram_activity: share of their memory bandwidth in use.
        clock: SM clock as a share of its highest, of the slowest GPU.
        slowed: share of the seconds in which a GPU was slowed, by reason; those that occurred.
        tenants: bytes of device memory that others hold on its GPUs.
        slowdown: seconds a step takes against what the engine's own model of it expects.
    """

    cores: Mapping[str, float] = field(default_factory=dict)
    waits: Mapping[str, float] = field(default_factory=dict)
    throttled: float = _NAN
    quota: float = _NAN
    gpu_activity: float = _NAN
    dram_activity: float = _NAN
    clock: float = _NAN
    slowed: Mapping[str, float] = field(default_factory=dict)
    tenants: float = _NAN
    slowdown: float = _NAN

    @property
    def main_reason(self) -> tuple[str, float]:
        """The reason that slowed a GPU most, and its share; no reason is the empty one."""
        return max(self.slowed.items(), key=lambda item: item[1], default=("", 0.0))

    @property
    def starved(self) -> float:
        """Share of the time for which the engine surely stood still for want of a CPU.

        Core and workers hand a step to each other, and while one works the others may ask again and
        again whether it is done: then they are ready to run, and nothing is lost while they do not.
        One of them works at any time, so what counts is that all wait at once, which is so for at
        least the sum of their shares less one for each but the first. The server is beside that.
        """
        chain = self._chain()
        together = sum(chain) - (len(chain) - 1) if chain else 0.0
        return max(together, self.waits.get("server", 0.0), 0.0)

    @property
    def held_up(self) -> float:
        """Share of the time for which it may have stood still for that, at most."""
        return max(min(self._chain(), default=0.0), self.waits.get("server", 0.0))

    def _chain(self) -> list[float]:
        """Return the shares of the processes that hand a step to each other."""
        return [self.waits[role] for role in STEPPING if role in self.waits]


def surroundings(view: View, *, tenants: float = _NAN, slowdown: float = _NAN) -> Surroundings:
    """Return what the last seconds of a view say of the surroundings.

    Args:
        view: of a replica.
        tenants: see `Surroundings`; placement knows it.
        slowdown: likewise; the step-time model knows it.
    """
    recent = view.last(SPAN)
    span = float(recent.times[-1] - recent.times[0])
    activity, utilization, dram, clock, limit, *reasons = recent.gpus(_GPUS)
    if not activity.size:
        activity = utilization
    ratio = _NAN
    if clock.size and clock.shape == limit.shape:
        shares = clock / np.where(limit > 0.0, limit, np.nan)
        ratio = min(mean(shares[:, at]) for at in range(clock.shape[1]))
    slowed = {
        reason: share
        for reason, columns in zip(SLOWING, reasons, strict=True)
        if columns.any() and (share := mean(columns.max(axis=1))) > 0
    }
    periods = growth(recent[process.CGROUP_CPU_PERIODS])
    return Surroundings(
        waits={
            role: share
            for (role,) in recent.labels(process.CPU_WAIT)
            if span > 0
            and not math.isnan(share := growth(recent.of(process.CPU_WAIT, role)) / span)
        },
        throttled=growth(recent[process.CGROUP_CPU_THROTTLED_PERIODS]) / periods
        if periods > 0
        else _NAN,
        quota=recent.now(process.CGROUP_CPU_LIMIT),
        cores={
            role: growth(recent.of(process.CPU_SECONDS, role)) / span
            for (role,) in recent.labels(process.CPU_SECONDS)
            if span > 0
        },
        gpu_activity=mean(activity),
        dram_activity=mean(dram),
        clock=ratio,
        slowed=slowed,
        tenants=tenants,
        slowdown=slowdown,
    )
