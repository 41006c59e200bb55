"""What is read of a device: columns, and the call that fills them, in base units.

A column is a tuple: the name of its metric without `inferwatch_gpu_`, then the values of the
metric's labels beyond those that name the device.
"""

from collections.abc import Callable, Sequence
from operator import mul

from collectors.nvml import driver
from collectors.nvml.codes import (
    ARGUMENT_VERSION_MISMATCH,
    FUNCTION_NOT_FOUND,
    Outcome,
    outcome,
)

Column = tuple[str, ...]
Values = Sequence[float | None]

REASONS: tuple[tuple[int, str], ...] = (
    (0x1, "idle"),
    (0x2, "applications_clocks_setting"),
    (0x4, "software_power_cap"),
    (0x8, "hardware_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "software_thermal_slowdown"),
    (0x40, "hardware_thermal_slowdown"),
    (0x80, "hardware_power_brake"),
    (0x100, "display_clock_setting"),
)
"""Bit of `nvmlClocksEventReasons` and label value."""

MIB = float(1 << 20)
GPM_SPACING = 0.1
"""Seconds that must lie between two GPM samples, by nvml.h."""

GPM_METRICS: dict[int, tuple[str, float]] = {
    1: ("graphics_activity_ratio", 0.01),
    2: ("sm_activity_ratio", 0.01),
    3: ("sm_occupancy_ratio", 0.01),
    5: ("tensor_activity_ratio", 0.01),
    10: ("dram_activity_ratio", 0.01),
    60: ("nvlink_receive_bytes_per_second", MIB),
    61: ("nvlink_transmit_bytes_per_second", MIB),
}
"""Metric and factor to base units by `nvmlGpmMetricId_t`."""

FAST_FIELDS: dict[int, tuple[Column, float]] = {
    197: (("pcie_transmit_bytes_total",), 1.0),
    198: (("pcie_receive_bytes_total",), 1.0),
}
SLOW_FIELDS: dict[int, tuple[Column, float]] = {
    82: (("memory_temperature_celsius",), 1.0),
    230: (("recovery_action",), 1.0),
    269: (("throttled_seconds_total", "software_thermal_slowdown"), 1e-9),
    270: (("throttled_seconds_total", "hardware_thermal_slowdown"), 1e-9),
    271: (("throttled_seconds_total", "hardware_power_brake"), 1e-9),
}
"""Column and factor to base units by field id (`NVML_FI_DEV_*`)."""


class Probe:
    """Some columns of one device and the call that fills them.

    Args:
        columns: what `read` gives, in order.
        readers: ways to read it, newest first; the next is tried where the driver lacks one.

    Attributes:
        columns: the same.
        read: returns a value for each column, None where there is none, or raises `NvmlError` where
            the call failed as a whole.
    """

    def __init__(self, columns: Sequence[Column], *readers: Callable[[], Values]) -> None:
        self.columns = tuple(columns)
        self._readers = list(readers)
        self.read = readers[0] if len(readers) == 1 else self._first

    def _first(self) -> Values:
        """Read it in the newest way that the driver has, and in no other from then on."""
        try:
            values = self._readers[0]()
        except driver.NvmlError as error:
            code = driver.code_of(error)
            if len(self._readers) < 2 or code not in (  # noqa: PLR2004
                FUNCTION_NOT_FOUND,
                ARGUMENT_VERSION_MISMATCH,
            ):
                raise
            del self._readers[0]
            return self._first()
        self.read = self._readers[0]
        return values


Coded = tuple[Sequence[int], Sequence[float]]
"""Return codes, and as many values; none of both where there is nothing yet."""


class CodedProbe:
    """Columns that each carry a return code of their own: field values and GPM metrics.

    One that the device does not have is left out from the next request on.
    """

    def __init__(
        self,
        wanted: dict[int, tuple[Column, float]],
        source: Callable[[tuple[int, ...]], Callable[[], Coded]],
    ) -> None:
        self._wanted = wanted
        self._source = source
        self._ids = tuple(wanted)
        self._read = source(self._ids)
        self.columns: tuple[Column, ...] = tuple(column for column, _ in wanted.values())
        self._factors = [factor for _, factor in wanted.values()]

    def read(self) -> Values:
        """Return a value for each column, None where there is none.

        Raises:
            NvmlError: the call failed as a whole.
        """
        codes, found = self._read()
        if not any(codes):
            return [*map(mul, found, self._factors)] or (None,) * len(self.columns)
        values = [
            None if code else value * factor
            for code, value, factor in zip(codes, found, self._factors, strict=True)
        ]
        if any(code and outcome(code) in (Outcome.ABSENT, Outcome.REFUSED) for code in codes):
            return self._shrink(codes, values)
        return values

    def _shrink(self, codes: Sequence[int], values: Sequence[float | None]) -> Values:
        """Stop asking for what the device does not have."""
        kept = [
            position
            for position, code in enumerate(codes)
            if not code or outcome(code) not in (Outcome.ABSENT, Outcome.REFUSED)
        ]
        self._ids = tuple(self._ids[position] for position in kept)
        self.columns = tuple(self._wanted[field_id][0] for field_id in self._ids)
        self._factors = [self._wanted[field_id][1] for field_id in self._ids]
        self._read = self._source(self._ids) if self._ids else _nothing
        return [values[position] for position in kept]


def _nothing() -> Coded:
    """Return that there is nothing yet."""
    return (), ()


class GpmSource:
    """Takes GPM samples no closer than they may be, and gives the metrics between the last two."""

    def __init__(
        self, handle: driver.Handle, *, now: Callable[[], float], instance: int | None
    ) -> None:
        self._handle = handle
        self._now = now
        self._instance = instance
        self._gpm: driver.Gpm | None = None
        self._taken: float | None = None
        self._last: Coded = _nothing()

    def reader(self, ids: tuple[int, ...]) -> Callable[[], Coded]:
        """Return a function that reads these metrics; the one before ends."""
        self.free()
        self._gpm = driver.Gpm(self._handle, ids, self._instance)
        self._taken = None
        self._last = _nothing()
        return self._read

    def _read(self) -> Coded:
        """Return code and value of each metric; nothing before there are two samples."""
        now = self._now()
        if self._gpm is None or (self._taken is not None and now - self._taken < GPM_SPACING):
            return self._last
        self._gpm.take()
        if self._taken is not None:
            self._last = self._gpm.metrics()
        self._taken = now
        return self._last

    def free(self) -> None:
        """Give the samples back to the driver."""
        if self._gpm is not None:
            gpm, self._gpm = self._gpm, None
            gpm.free()


def reasons(mask: int, known: dict[int, tuple[float, ...]]) -> tuple[float, ...]:
    """Return 1 or 0 for each of `REASONS`; `known` remembers, as the mask rarely changes."""
    found = known.get(mask)
    if found is None:
        found = known[mask] = tuple(float(bool(mask & bit)) for bit, _ in REASONS)
    return found
