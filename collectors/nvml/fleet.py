"""All devices of the host, as the child sees them: who is there, and what they say."""

import json
from collections.abc import Callable

from collectors.nvml import driver
from collectors.nvml.codes import NOT_SUPPORTED, Outcome, outcome
from collectors.nvml.device import TIERS, Device, MovedError
from collectors.nvml.tables import gpm_probe, gpu_probes, memory_probe
from collectors.nvml.wire import ALL_TIERS, FAST, SLOW

Notice = Callable[[dict[str, str]], None]
"""Takes one event: `kind`, `uuid`, `gpu`, `pci`, and what belongs to the kind."""


class Fleet:
    """The devices.

    Args:
        notice: takes events.
        now: seconds on a clock that never goes back.
        tolerant: see `Device`.
    """

    def __init__(self, notice: Notice, *, now: Callable[[], float], tolerant: bool) -> None:
        self.devices: list[Device] = []
        self.generation = 0
        self.stale = True
        self._notice = notice
        self._now = now
        self._tolerant = tolerant
        self._count = 0
        self._unreachable: list[dict[str, str]] = []
        self._said: set[tuple[str, str]] = set()
        self._driver: dict[str, str] = {}

    def sample(self, tiers: int) -> bool:
        """Read these tiers of every device; return whether the set of columns changed.

        Raises:
            NvmlError: only a fresh process can go on.
        """
        changed = False
        if self.stale or driver.count() != self._count or (tiers & SLOW and self._moved()):
            self._list()
            tiers = ALL_TIERS
            changed = True
        for device in self.devices:
            if device.down:
                continue
            try:
                changed |= device.read(tiers)
            except MovedError:
                self.stale = True
        if self.stale:
            # Listed again at the next look, not in a loop: an instance may come and go.
            changed = True
        return changed

    def layout(self) -> bytes:
        """Return the columns of `values`, and the devices and the driver that they belong to."""
        up = [device for device in self.devices if not device.down]
        down = [
            {**device.facts, "code": str(device.down)} for device in self.devices if device.down
        ]
        return json.dumps(
            {
                "driver": self._driver,
                "devices": [device.facts for device in up],
                "down": down + self._unreachable,
                "columns": [
                    [number, *column]
                    for number, device in enumerate(up)
                    for tier in TIERS
                    for column in device.columns[tier]
                ],
            }
        ).encode()

    def values(self) -> bytes:
        """Return the last value of every column."""
        return b"".join([one for device in self.devices for one in device.values.values()])

    def _moved(self) -> bool:
        """Return whether a device has another index now, or one that is down is back."""
        if any(_answers(int(gone["gpu"])) for gone in self._unreachable):
            return True
        for device in self.devices:
            if device.facts["mig"]:
                continue
            index = int(device.facts["gpu"])
            if device.down:
                if _answers(index):
                    return True
                continue
            try:
                if driver.uuid(driver.by_index(index)) != device.facts["uuid"]:
                    return True
            except driver.NvmlError:
                return True
        return False

    def _list(self) -> None:
        """Find all devices anew."""
        for device in self.devices:
            device.close()
        self.devices = []
        self._unreachable = []
        self.stale = False
        self._driver = {
            "driver_version": _text(driver.driver_version),
            "cuda_version": _cuda_version(),
        }
        self._count = driver.count()
        for index in range(self._count):
            try:
                handle = driver.by_index(index)
                gpu = self._gpu(handle, index)
            except driver.NvmlError as error:
                self._cannot_reach(index, error)
                continue
            self.devices.append(gpu)
            if gpu.facts["mig_mode"] == "enabled":
                self.devices += self._instances(gpu)
        self.generation += 1

    def _cannot_reach(self, index: int, error: Exception) -> None:
        code = driver.code_of(error)
        self._unless_gone(error)
        if outcome(code) is Outcome.REFUSED:
            self._say_refused({"gpu": str(index), "uuid": "", "pci": ""}, "the device", code)
            return
        self._unreachable.append({"gpu": str(index), "uuid": "", "code": str(code)})

    def _unless_gone(self, error: Exception) -> None:
        """Raise the error again if only a fresh process can go on."""
        if outcome(driver.code_of(error)) is Outcome.DRIVER_GONE and not self._tolerant:
            raise error

    def _gpu(self, handle: driver.Handle, index: int) -> Device:
        probes = gpu_probes(handle)
        gpm, free = gpm_probe(handle, handle, now=self._now)
        probes[FAST] += gpm
        facts = {
            "uuid": driver.uuid(handle),
            "gpu": str(index),
            "mig": "",
            "name": _text(driver.name, handle),
            "serial": _text(driver.serial, handle),
            "pci": _text(driver.pci_bus_id, handle),
            "mig_mode": _mig_mode(handle),
            "memory_kind": _memory_kind(handle),
        }
        return self._device(handle, facts, probes, free)

    def _instances(self, gpu: Device) -> list[Device]:
        """Return the MIG instances of a GPU; one that cannot be reached is left out."""
        found: list[Device] = []
        try:
            slots = driver.mig_max(gpu.handle)
        except driver.NvmlError as error:
            self._unless_gone(error)
            return found
        for slot in range(slots):
            try:
                handle = driver.mig_by_index(gpu.handle, slot)
                instance = driver.gpu_instance(handle)
                compute = driver.compute_instance(handle)
                facts = {
                    **gpu.facts,
                    "uuid": driver.uuid(handle),
                    "mig": f"{instance}/{compute}",
                    "name": _text(driver.name, handle),
                    "mig_mode": "",
                }
                gpm, free = gpm_probe(gpu.handle, handle, now=self._now, instance=instance)
            except driver.NvmlError as error:
                self._unless_gone(error)
                continue
            probes = {FAST: [memory_probe(handle), *gpm], SLOW: []}
            found.append(self._device(handle, facts, probes, free))
        return found

    def _device(
        self,
        handle: driver.Handle,
        facts: dict[str, str],
        probes: dict[int, list],  # type: ignore[type-arg]
        free: Callable[[], None],
    ) -> Device:
        return Device(
            handle,
            facts,
            probes,
            close=free,
            refused=lambda device, column, code: self._say_refused(device.facts, column, code),
            tolerant=self._tolerant,
        )

    def _say_refused(self, facts: dict[str, str], what: str, code: int) -> None:
        """Say once that rights are missing; the value is absent from then on."""
        key = (facts["uuid"] or facts["gpu"], what)
        if key not in self._said:
            self._said.add(key)
            about = {name: facts[name] for name in ("uuid", "gpu", "pci")}
            self._notice({"kind": "gpu_read_refused", **about, "what": what, "code": str(code)})


def _answers(index: int) -> bool:
    """Return whether a GPU that was down answers again."""
    try:
        handle = driver.by_index(index)
        driver.uuid(handle)
        driver.temperature(handle)
    except driver.NvmlError as error:
        return outcome(driver.code_of(error)) not in (Outcome.DEVICE_DOWN, Outcome.DRIVER_GONE)
    return True


def _text(read: Callable[..., object], *arguments: object) -> str:
    """Return a text that the driver may not know."""
    try:
        return str(read(*arguments))
    except driver.NvmlError as error:
        if outcome(driver.code_of(error)) in (Outcome.DRIVER_GONE, Outcome.DEVICE_DOWN):
            raise
        return ""


def _cuda_version() -> str:
    """Return the CUDA version that the driver supports, such as 12.8."""
    number = _text(driver.cuda_version)
    return f"{int(number) // 1000}.{int(number) % 1000 // 10}" if number else ""


def _mig_mode(handle: driver.Handle) -> str:
    """Return `enabled`, `disabled`, or nothing where the GPU has no MIG."""
    try:
        return "enabled" if driver.mig_mode(handle)[0] else "disabled"
    except driver.NvmlError:
        return ""


def _memory_kind(handle: driver.Handle) -> str:
    """Return `unified` for a GPU that shares the host's memory and has none of its own."""
    try:
        driver.memory_v1(handle)
    except driver.NvmlError as error:
        return "unified" if driver.code_of(error) == NOT_SUPPORTED else ""
    return "dedicated"
