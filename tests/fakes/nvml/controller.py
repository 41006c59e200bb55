"""The test's hand on the stub driver: typed devices, written to the file that the stub re-reads.

Numbers are in NVML's own units (bytes, mW, mJ, MHz, Celsius, percent). `None` means that the
device does not support the number.
"""

import os
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from tests.fakes.nvml.build import Variant, build

GIB: Final = 1 << 30
FOREVER: Final = -1

XID: Final = 0x8
MIG_CONFIG_CHANGE: Final = 0x100
UNAVAILABLE: Final = 0x4000
RECOVERY_ACTION: Final = 0x8000
NO_INSTANCE: Final = 0xFFFFFFFF


@dataclass(slots=True, kw_only=True)
class Process:
    """A compute process; `memory` None is NVML_VALUE_NOT_AVAILABLE."""

    pid: int
    memory: int | None = GIB
    gpu_instance: int = NO_INSTANCE
    compute_instance: int = NO_INSTANCE
    sm: int = 0
    memory_utilization: int = 0


@dataclass(slots=True, kw_only=True)
class Device:
    """What a GPU and a MIG instance have in common."""

    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    serial: str | None = None
    bus_id: str | None = None
    memory_total: int | None = 80 * GIB
    memory_reserved: int | None = GIB
    memory_used: int | None = 10 * GIB
    memory_free: int | None = 69 * GIB
    utilization_gpu: int | None = None
    utilization_memory: int | None = None
    power_usage: int | None = None
    power_limit: int | None = None
    energy: int | None = None
    temperature: int | None = None
    clock_sm: int | None = None
    clock_memory: int | None = None
    clock_sm_max: int | None = None
    clock_memory_max: int | None = None
    clocks_event_reasons: int | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    pcie_generation_max: int | None = None
    pcie_width_max: int | None = None
    ecc_volatile_corrected: int | None = None
    ecc_volatile_uncorrected: int | None = None
    ecc_aggregate_corrected: int | None = None
    ecc_aggregate_uncorrected: int | None = None
    remapped_corrected: int | None = None
    remapped_uncorrected: int | None = None
    remapped_pending: int | None = None
    remapped_failure: int | None = None
    minor_number: int | None = None
    gpm_supported: int | None = None
    mig_mode: int | None = None
    mig_max: int | None = None
    gpu_instance: int | None = None
    compute_instance: int | None = None
    multiprocessors: int | None = None
    memory_size_mb: int | None = None
    fields: dict[int, int] = field(default_factory=dict)
    field_errors: dict[int, int] = field(default_factory=dict)
    gpm: dict[int, float] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    samples: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    hangs: dict[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the lines of this device, without the prefix that says which one it is."""
        out = []
        for one in fields(Device):
            value = getattr(self, one.name)
            if isinstance(value, int | str):
                out.append(f"{one.name} {value}")
        out += [f"field {key} {value}" for key, value in self.fields.items()]
        out += [f"field_error {key} {value}" for key, value in self.field_errors.items()]
        out += [f"gpm {key} {value!r}" for key, value in self.gpm.items()]
        out += [
            f"process {p.pid} {-1 if p.memory is None else p.memory} {p.gpu_instance} "
            f"{p.compute_instance} {p.sm} {p.memory_utilization}"
            for p in self.processes
        ]
        out += [
            f"sample {kind} {when} {value}"
            for kind, ring in self.samples.items()
            for when, value in ring
        ]
        return out + _fault_lines(self.faults, self.hangs)


@dataclass(slots=True, kw_only=True)
class MigInstance(Device):
    """A MIG instance: `slot` is its index below its GPU."""

    slot: int = 0


@dataclass(slots=True, kw_only=True)
class Gpu(Device):
    """A whole GPU, with its MIG instances if it is cut up."""

    migs: list[MigInstance] = field(default_factory=list)


def h100(index: int) -> Gpu:
    """Return a Hopper data-centre GPU that supports everything the stub knows."""
    return Gpu(
        uuid=f"GPU-{index:08x}-1111-2222-3333-444444444444",
        serial=f"16{index:08d}",
        bus_id=f"00000000:{0x3B + index:02X}:00.0",
        utilization_gpu=50,
        utilization_memory=20,
        power_usage=350_000,
        power_limit=700_000,
        energy=1_000_000,
        temperature=55,
        clock_sm=1980,
        clock_memory=2619,
        clock_sm_max=1980,
        clock_memory_max=2619,
        clocks_event_reasons=0,
        pcie_generation=5,
        pcie_width=16,
        pcie_generation_max=5,
        pcie_width_max=16,
        ecc_volatile_corrected=0,
        ecc_volatile_uncorrected=0,
        ecc_aggregate_corrected=2,
        ecc_aggregate_uncorrected=0,
        remapped_corrected=0,
        remapped_uncorrected=0,
        remapped_pending=0,
        remapped_failure=0,
        minor_number=index,
        gpm_supported=1,
        mig_mode=0,
        fields={
            82: 60,
            83: 1_000_000,
            142: 0,
            143: 0,
            144: 0,
            145: 0,
            197: 4_000_000,
            198: 8_000_000,
            230: 0,
            269: 0,
            270: 0,
            271: 0,
        },
        gpm={1: 50.0, 2: 40.0, 3: 30.0, 5: 20.0, 10: 60.0, 20: 1.0, 21: 2.0, 60: 0.0, 61: 0.0},
    )


def mig_instance(
    gpu: int, slot: int, *, gpu_instance: int, compute_instance: int = 0
) -> MigInstance:
    """Return a 1g.10gb instance of an H100."""
    return MigInstance(
        uuid=f"MIG-{gpu:08x}-{slot:04x}-2222-3333-444444444444",
        name="NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        slot=slot,
        memory_total=10 * GIB,
        memory_reserved=0,
        memory_used=2 * GIB,
        memory_free=8 * GIB,
        gpm_supported=1,
        gpu_instance=gpu_instance,
        compute_instance=compute_instance,
        multiprocessors=16,
        memory_size_mb=10 * 1024,
        gpm={1: 10.0, 2: 11.0, 3: 12.0, 5: 13.0, 10: 14.0},
    )


class StubDriver:
    """A scripted driver: change the attributes, call `write`, and the agent sees it.

    Attributes:
        gpus: device by index; None is a hole, an index that answers GPU_IS_LOST.
        faults: return code by function name, for every device; `*` is any function.
        hangs: milliseconds by function name; `FOREVER` lasts until the entry is gone.
        generation: raise it to reload the driver: processes from before get code 18.
        call_us: how long each call takes.
    """

    def __init__(self, folder: Path, *, variant: Variant = "full", gpus: int = 1) -> None:
        self.gpus: list[Gpu | None] = [h100(index) for index in range(gpus)]
        self.faults: dict[str, int] = {}
        self.hangs: dict[str, int] = {}
        self.loaded = True
        self.generation = 0
        self.call_us = 0
        self.gpm_min_interval_ms = 0
        self.devices_fixed_at_init = False
        self.driver_version = "570.86.15"
        self._events: list[str] = []
        self._version = 0
        self._variant = variant
        self._state = folder / "nvml.state"
        self._library = build(variant)
        self.write()

    def gpu(self, index: int) -> Gpu:
        """Return a GPU that is there."""
        found = self.gpus[index]
        assert found is not None
        return found

    def env(self) -> dict[str, str]:
        """Return an environment in which a process loads the stub as its driver library."""
        return {
            **os.environ,
            "LD_LIBRARY_PATH": str(self._library),
            "NVML_STUB_STATE": str(self._state),
        }

    def push_xid(self, gpu: int, code: int) -> None:
        """Let an XID happen on a GPU."""
        self.push_event(gpu, kind=XID, data=code)

    def push_event(self, gpu: int, *, kind: int, data: int = 0) -> None:
        """Let any NVML event happen on a GPU, and write."""
        sequence = len(self._events) + 1
        self._events.append(
            f"event {sequence} {self.gpu(gpu).uuid} {kind} {data} {NO_INSTANCE} {NO_INSTANCE}"
        )
        self.write()

    def write(self) -> None:
        """Replace the state file at once; the stub re-reads it on its next call."""
        lines = [
            f"driver_loaded {int(self.loaded)}",
            f"driver_generation {self.generation}",
            f"driver_version {self.driver_version}",
            "nvml_version 12." + self.driver_version,
            "cuda_version 12080",
            f"call_us {self.call_us}",
            f"gpm_min_interval_ms {self.gpm_min_interval_ms}",
            f"devices_fixed_at_init {int(self.devices_fixed_at_init)}",
            *self._events,
            *_fault_lines(self.faults, self.hangs),
        ]
        for index, gpu in enumerate(self.gpus):
            if gpu is None:
                continue
            lines += [f"gpu.{index}.{line}" for line in gpu.lines()]
            for mig in gpu.migs:
                lines += [f"gpu.{index}.mig.{mig.slot}.{line}" for line in mig.lines()]
        unfinished = self._state.with_suffix(".new")
        unfinished.write_text("\n".join(lines) + "\n")
        unfinished.replace(self._state)
        # Last, and in place: the stub has this number mapped and reads the file when it changes.
        self._version += 1
        with self._state.with_name(self._state.name + ".version").open(
            "r+b" if self._version > 1 else "wb"
        ) as file:
            file.write(self._version.to_bytes(8, sys.byteorder))


def _fault_lines(faults: dict[str, int], hangs: dict[str, int]) -> list[str]:
    return [f"fault {name} {code}" for name, code in faults.items()] + [
        f"hang {name} {milliseconds}" for name, milliseconds in hangs.items()
    ]
