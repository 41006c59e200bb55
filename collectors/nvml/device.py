"""One device as the child sees it: a GPU or a MIG instance, and the last values read of it."""

from array import array
from collections.abc import Callable, Sequence

from collectors.nvml import driver
from collectors.nvml.codes import INVALID_ARGUMENT, UNKNOWN, Outcome, outcome
from collectors.nvml.probes import Column
from collectors.nvml.tables import AnyProbe
from collectors.nvml.wire import FAST, PROCESSES, SLOW

TIERS = (FAST, SLOW, PROCESSES)


class MovedError(Exception):
    """A MIG instance is no longer there: devices must be listed anew."""


class Device:
    """A device, its probes by tier and what they last gave: columns, and values as they are sent.

    Args:
        handle: the driver's.
        facts: what is said once: uuid, index, mig, name, …
        probes: by tier.
        close: called when the device is let go.
        refused: told of columns that rights are missing for, with the return code.
        tolerant: whether an unknown error only costs the value, because a fresh process for it
            did not help.
    """

    def __init__(
        self,
        handle: driver.Handle,
        facts: dict[str, str],
        probes: dict[int, list[AnyProbe]],
        *,
        close: Callable[[], None],
        refused: Callable[["Device", str, int], None],
        tolerant: bool,
    ) -> None:
        self.handle = handle
        self.facts = facts
        self.down = 0
        self.columns: dict[int, list[Column]] = {tier: [] for tier in TIERS}
        self.values: dict[int, bytes] = dict.fromkeys(TIERS, b"")
        self._probes = probes
        self._close = close
        self._refused = refused
        self._tolerant = tolerant
        self._absent: dict[int, tuple[int, ...]] = {}
        self._lists_processes = True

    def read(self, tiers: int) -> bool:
        """Read these tiers; return whether the set of columns changed.

        Raises:
            NvmlError: only a fresh process can go on.
            MovedError: this MIG instance is gone.
        """
        changed = False
        for tier in (FAST, SLOW):
            if tiers & tier and not self.down:
                changed |= self._read_tier(tier)
        if tiers & PROCESSES and not self.down:
            changed |= self._read_processes()
        if self.down:
            changed |= any(self.columns.values())
            for tier in TIERS:
                self.columns[tier] = []
                self.values[tier] = b""
        return changed

    def _read_tier(self, tier: int) -> bool:
        values: list[float | None] = []
        dropped: list[AnyProbe] = []
        for probe in self._probes[tier]:
            try:
                values += probe.read()
            except driver.NvmlError as error:
                what = self._judge(error, probe.columns[0][0] if probe.columns else "")
                if what is Outcome.DEVICE_DOWN:
                    return False
                if what is Outcome.ABSENT:
                    dropped.append(probe)
                    continue
                values += (None,) * len(probe.columns)
        absent: tuple[int, ...] = ()
        try:
            self.values[tier] = _packed(values)  # type: ignore[arg-type] # None is no float
        except TypeError:
            absent = tuple(at for at, value in enumerate(values) if value is None)
            self.values[tier] = _packed([value for value in values if value is not None])
        for probe in dropped:
            self._probes[tier].remove(probe)
        # Probes only ever lose columns, so the same number of them are the same ones.
        signature = (len(values), *absent)
        if signature == self._absent.get(tier):
            return False
        self._absent[tier] = signature
        columns = [column for probe in self._probes[tier] for column in probe.columns]
        gone = set(absent)
        self.columns[tier] = [column for at, column in enumerate(columns) if at not in gone]
        return True

    def _judge(self, error: Exception, column: str) -> Outcome:
        """Return what follows from an error of one call: down, absent, or absent this time.

        Raises:
            NvmlError: only a fresh process can go on.
            MovedError: this MIG instance is gone.
        """
        code = driver.code_of(error)
        if code == INVALID_ARGUMENT and self.facts["mig"] and not self._exists():
            raise MovedError from error
        if code == UNKNOWN and self._tolerant:
            return Outcome.ABSENT
        what = outcome(code)
        match what:
            case Outcome.DRIVER_GONE:
                raise error
            case Outcome.DEVICE_DOWN:
                self.down = code
            case Outcome.REFUSED:
                self._refused(self, column, code)
                return Outcome.ABSENT
            case _:
                pass
        return what

    def _exists(self) -> bool:
        """Return whether the handle still means this device."""
        try:
            return bool(driver.uuid(self.handle) == self.facts["uuid"])
        except driver.NvmlError:
            return False

    def _read_processes(self) -> bool:
        if not self._lists_processes:
            return False
        try:
            found = driver.processes(self.handle)
        except driver.NvmlError as error:
            what = self._judge(error, "process_memory_used_bytes")
            self._lists_processes = what is not Outcome.ABSENT
            found = []
        memory: dict[int, int] = {}
        for pid, used in found:
            if used is not None:  # one process may be listed once for each of its contexts
                memory[pid] = memory.get(pid, 0) + used
        columns: list[Column] = [
            ("process_memory_used_bytes", str(pid), comm(pid)) for pid in memory
        ]
        changed = columns != self.columns[PROCESSES]
        self.columns[PROCESSES] = columns
        self.values[PROCESSES] = _packed([*memory.values()])
        return changed

    def close(self) -> None:
        """Let go of what the driver gave for this device."""
        try:
            self._close()
        except driver.NvmlError:
            return  # the device is gone, and what it held with it


def _packed(values: Sequence[float]) -> bytes:
    """Return numbers as they are sent; raises TypeError where one is None."""
    return array("d", values).tobytes()


def comm(pid: int) -> str:
    """Return the name of a process, or nothing where it cannot be seen."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - keeps pathlib out of the child
            return file.read().rstrip("\n")
    except OSError:
        return ""
