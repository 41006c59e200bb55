"""What the host and the processes of simulated engines show."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from agent.catalog import host, process
from agent.model import Metric
from tests.simulator.disturb import Around
from tests.simulator.limits import Spent

GIB: Final = float(1 << 30)


@dataclass(slots=True, kw_only=True)
class Processes:
    """The processes of one server.

    Attributes:
        pid: of the server; those of core and worker follow.
        cpu: seconds of each role so far.
        resident: bytes of each role.
        waited: seconds for which the core has been ready to run without a CPU.
        owed: likewise, of steps that have begun.
    """

    pid: int
    cpu: dict[str, float] = field(
        default_factory=lambda: {"server": 40.0, "core": 60.0, "worker": 80.0}
    )
    resident: dict[str, float] = field(
        default_factory=lambda: {"server": 2.1e9, "core": 1.4e9, "worker": 5.2e9}
    )

    waited: float = 5.0
    owed: float = 0.0

    def work(self, spent: Spent, streamed: int, around: Around) -> float:
        """Let a second pass and return the cores used in it.

        A worker spins while it waits for its GPU; the server's work is by token.
        """
        used = {
            "server": min(1.0, 0.01 + 3e-5 * streamed + 2e-6 * spent.prefilled + around.server),
            "core": min(1.0, 0.02 + 2e-4 * spent.steps + around.core),
            "worker": min(1.0, 0.02 + spent.gpu + 0.3 * spent.host),
        }
        for role, seconds in used.items():
            self.cpu[role] += seconds
        # A step is booked when it begins, and waited for as it goes on.
        self.owed += spent.host if around.starved else 0.0
        waited = min(1.0, self.owed)
        self.waited += waited
        self.owed -= waited
        return sum(used.values())

    def pids(self) -> dict[str, int]:
        """Return the process of each role."""
        return {"server": self.pid, "core": self.pid + 1, "worker": self.pid + 2}

    def samples(self) -> Iterator[tuple[Metric, dict[str, str], float]]:
        """Yield metric, label of the role, and value."""
        for role in self.cpu:
            # The kernel counts in hundredths.
            yield process.CPU_SECONDS, {"process": role}, round(self.cpu[role], 2)
            yield process.RESIDENT_MEMORY, {"process": role}, self.resident[role]
            yield process.PROCESSES, {"process": role}, 1.0
        yield process.CPU_WAIT, {"process": "core"}, round(self.waited, 3)


@dataclass(slots=True, kw_only=True)
class Host:
    """The machine.

    Attributes:
        cpus: logical CPUs.
        total: bytes of main memory.
        taken: of them, in use normally.
        wobble: bytes by which that changes at random.
    """

    cpus: int = 16
    total: float = 128 * GIB
    taken: float = 40 * GIB
    wobble: float = 2e7
    dice: random.Random = field(default_factory=lambda: random.Random(0))
    user: float = 1000.0
    system: float = 200.0
    idle: float = 50_000.0
    pressure: float = 10.0
    available: float = 0.0

    def work(self, cores: float, around: Around) -> None:
        """Let a second pass in which engines used so many cores."""
        wanted = cores + around.cores + 0.2
        used = min(float(self.cpus), wanted)
        self.user += 0.85 * used
        self.system += 0.15 * used
        self.idle += self.cpus - used
        self.pressure += min(1.0, max(0.002, 1.2 * (wanted / self.cpus - 0.85)))
        left = self.total - self.taken - around.host_memory
        self.available = max(0.0, left + self.dice.gauss(0.0, self.wobble))

    def samples(self) -> Iterator[tuple[Metric, dict[str, str], float]]:
        """Yield metric, labels and value."""
        yield host.CPU_SECONDS, {"mode": "user"}, round(self.user, 2)
        yield host.CPU_SECONDS, {"mode": "system"}, round(self.system, 2)
        yield host.CPU_SECONDS, {"mode": "idle"}, round(self.idle, 2)
        yield host.CPUS, {}, float(self.cpus)
        yield host.MEMORY_TOTAL, {}, self.total
        yield host.MEMORY_AVAILABLE, {}, self.available
        yield host.PRESSURE_SECONDS, {"resource": "cpu", "kind": "some"}, self.pressure
