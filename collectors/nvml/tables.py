"""Which probes a GPU and a MIG instance get, by how often they are read."""

from collections.abc import Callable
from functools import partial

from collectors.nvml import driver
from collectors.nvml.probes import (
    FAST_FIELDS,
    GPM_METRICS,
    REASONS,
    SLOW_FIELDS,
    CodedProbe,
    Column,
    GpmSource,
    Probe,
    Values,
    reasons,
)
from collectors.nvml.wire import FAST, SLOW

AnyProbe = Probe | CodedProbe
Handle = driver.Handle

MHZ = 1e6
MILLI = 1e-3
PERCENT = 0.01

_SLOW_NUMBERS: tuple[tuple[str, Callable[[Handle], float], float], ...] = (
    ("power_limit_watts", driver.power_limit, MILLI),
    ("temperature_celsius", driver.temperature, 1.0),
    ("sm_clock_limit_hertz", driver.sm_clock_max, MHZ),
    ("memory_clock_limit_hertz", driver.memory_clock_max, MHZ),
    ("pcie_link_generation", driver.pcie_generation, 1.0),
    ("pcie_link_lanes", driver.pcie_width, 1.0),
    ("pcie_link_generation_limit", driver.pcie_generation_max, 1.0),
    ("pcie_link_lanes_limit", driver.pcie_width_max, 1.0),
)


def _number(column: str, read: Callable[[], float], factor: float) -> Probe:
    """Return a probe of one number; `column` is its metric and label values, spaced."""
    return Probe([tuple(column.split(" "))], lambda: (read() * factor,))


def memory_probe(handle: Handle) -> Probe:
    """Return the probe of device memory: v2 says what is reserved, v1 counts it as used."""
    return Probe(
        [
            ("memory_used_bytes",),
            ("memory_free_bytes",),
            ("memory_reserved_bytes",),
            ("memory_total_bytes",),
        ],
        driver.memory_v2(handle),
        lambda: _without_reserved(driver.memory_v1(handle)),
    )


def _without_reserved(memory: tuple[int, int, int]) -> Values:
    used, free, total = memory
    return used, free, None, total


def _utilization(handle: Handle) -> Probe:
    rates = driver.utilization(handle)

    def read() -> Values:
        gpu, memory = rates()
        return gpu * PERCENT, memory * PERCENT

    return Probe([("utilization_ratio",), ("memory_utilization_ratio",)], read)


def _power_peak(handle: Handle) -> Probe:
    """Return the probe of the highest power since the last look, from the driver's own ring."""
    ring: driver.SampleRing | None = None

    def read() -> Values:
        nonlocal ring
        ring = ring or driver.SampleRing(handle, driver.POWER_SAMPLES)
        samples = ring.read()
        return (max(samples) * MILLI if samples else None,)

    return Probe([("power_peak_watts",)], read)


def _clock_reasons(handle: Handle) -> Probe:
    known: dict[int, tuple[float, ...]] = {}
    event, throttle = driver.event_reasons(handle), driver.throttle_reasons(handle)
    return Probe(
        [("clocks_event_reason", name) for _, name in REASONS],
        lambda: reasons(event(), known),
        lambda: reasons(throttle(), known),
    )


def _ecc(handle: Handle) -> list[AnyProbe]:
    """Return one probe a counter: a device may keep the volatile ones only."""
    return [
        _number(
            f"ecc_errors_total {error_name} {counter_name}",
            partial(driver.ecc_errors, handle, errorType=error, counterType=counter),
            1.0,
        )
        for error, error_name in ((0, "corrected"), (1, "uncorrected"))
        for counter, counter_name in ((0, "volatile"), (1, "aggregate"))
    ]


def _fields(handle: Handle, wanted: dict[int, tuple[Column, float]]) -> list[AnyProbe]:
    try:
        return [CodedProbe(wanted, lambda ids: driver.FieldValues(handle, ids).read)]
    except driver.NvmlError:  # the library has no field values at all
        return []


def gpm_probe(
    handle: Handle, supports: Handle, *, now: Callable[[], float], instance: int | None = None
) -> tuple[list[AnyProbe], Callable[[], None]]:
    """Return the GPM probe of a device, or none, and what gives its samples back.

    Args:
        handle: the GPU that samples are taken of.
        supports: the device that is asked whether it has GPM.
        now: seconds on a clock that never goes back.
        instance: GPU instance, for MIG.
    """
    source = GpmSource(handle, now=now, instance=instance)
    try:
        if not driver.Gpm.is_supported(supports):
            return [], source.free
        wanted: dict[int, tuple[Column, float]] = {
            metric_id: ((name,), factor) for metric_id, (name, factor) in GPM_METRICS.items()
        }
        return [CodedProbe(wanted, source.reader)], source.free
    except driver.NvmlError:  # before Hopper, or a library before 520
        return [], source.free


def gpu_probes(handle: Handle) -> dict[int, list[AnyProbe]]:
    """Return the probes of a whole GPU by tier, GPM left out."""
    return {
        FAST: [
            memory_probe(handle),
            _utilization(handle),
            _number("power_watts", driver.power(handle), MILLI),
            _power_peak(handle),
            _number("energy_joules_total", driver.energy(handle), MILLI),
            _number("sm_clock_hertz", driver.sm_clock(handle), MHZ),
            _number("memory_clock_hertz", driver.memory_clock(handle), MHZ),
            _clock_reasons(handle),
            *_fields(handle, FAST_FIELDS),
        ],
        SLOW: [
            *(_number(name, partial(read, handle), factor) for name, read, factor in _SLOW_NUMBERS),
            *_ecc(handle),
            Probe(
                [
                    ("remapped_rows", "corrected"),
                    ("remapped_rows", "uncorrected"),
                    ("remapped_rows_pending",),
                    ("remapped_rows_failed",),
                ],
                lambda: driver.remapped_rows(handle),
            ),
            *_fields(handle, SLOW_FIELDS),
        ],
    }
