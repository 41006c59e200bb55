"""Profiling values of GPUs whose NVML has none, from a dcgm-exporter on this host.

Every value carries the metric and the labels that NVML's would. The pipeline keeps the first
source that gives a series, and NVML comes before DCGM; so where NVML's GPM works, DCGM's values
are left out, and when NVML fails they take its place.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from agent.catalog import dcgm as catalog
from agent.catalog import gpu
from agent.model import Metric, Reading, SeriesTable, SourceError, UnavailableError
from collectors.http import Address, HttpClient
from collectors.openmetrics import PageError, PageScanner
from collectors.readings import ReadingBuilder

DEFAULT_URL: Final = "http://127.0.0.1:9400"
"""Where a dcgm-exporter listens unless it is told otherwise."""

MAX_AGE: Final = 150.0
"""Seconds without a change after which a page that counts energy is known to be stale: five of
the exporter's default intervals. Energy grows at every interval as long as a GPU is powered."""

_MAX_PAGE: Final = 8 * 2**20
_PATH: Final = "/metrics"

_FAMILIES: Final[Mapping[str, Metric]] = {
    "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO": gpu.GRAPHICS_ACTIVITY,  # since DCGM 4.7
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": gpu.GRAPHICS_ACTIVITY,
    "DCGM_FI_PROF_SM_UTIL_RATIO": gpu.SM_ACTIVITY,  # since DCGM 4.7
    "DCGM_FI_PROF_SM_ACTIVE": gpu.SM_ACTIVITY,
    "DCGM_FI_PROF_SM_OCCUPANCY_RATIO": gpu.SM_OCCUPANCY,  # since DCGM 4.7
    "DCGM_FI_PROF_SM_OCCUPANCY": gpu.SM_OCCUPANCY,
    "DCGM_FI_PROF_TENSOR_UTIL_RATIO": gpu.TENSOR_ACTIVITY,  # since DCGM 4.7
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": gpu.TENSOR_ACTIVITY,
    "DCGM_FI_PROF_DRAM_UTIL_RATIO": gpu.DRAM_ACTIVITY,  # since DCGM 4.7
    "DCGM_FI_PROF_DRAM_ACTIVE": gpu.DRAM_ACTIVITY,
    "DCGM_FI_PROF_NVLINK_TX_BYTES": gpu.NVLINK_TRANSMIT,
    "DCGM_FI_PROF_NVLINK_RX_BYTES": gpu.NVLINK_RECEIVE,
}
"""What is taken. Left out on purpose: everything that NVML gives on every GPU (memory, power,
clocks, temperatures, PCIe bytes, which NVML counts and DCGM only samples as a rate), and XIDs: a
gauge that holds the last code hides repetitions and never expires."""

# Not supported, not found, not permitted and the like (dcgm_fields.h, DCGM_FP64_BLANK). Integers
# begin their blanks at 0x7ffffffffffffff0, which is above this as well; no value here comes near.
_BLANK: Final = float(2**47)

Device = tuple[str, str, str]
"""A GPU or MIG instance by its labels `gpu`, `uuid` and `mig`, as in `agent.catalog.gpu`."""


def device_of(labels: Mapping[str, str], known: Collection[Device]) -> Device:
    """Return the device that a sample of dcgm-exporter is about, named as NVML names it.

    The identifier decides; DCGM numbers GPUs its own way. A MIG instance is given by DCGM as the
    GPU's identifier and the number of the GPU instance, and by NVML as a device of its own.

    Args:
        labels: of the sample; `UUID`, in the old naming `uuid`, may be missing.
        known: the devices that NVML shows; without any, DCGM's own words are taken.
    """
    index = labels.get("gpu", "")
    uuid = labels.get("UUID") or labels.get("uuid", "")
    whole = [device for device in known if not device[2]]
    match = [device for device in whole if (device[1] == uuid if uuid else device[0] == index)]
    index, uuid, _ = match[0] if match else (index, uuid, "")
    instance = labels.get("GPU_I_ID", "")
    if not instance:
        return index, uuid, ""
    parts = [
        device for device in known if device[0] == index and device[2].partition("/")[0] == instance
    ]
    # With several compute instances in a GPU instance the value belongs to none of them alone.
    return parts[0] if len(parts) == 1 else (index, uuid, instance)


class DcgmCollector:
    """Reads the page of a dcgm-exporter.

    Args:
        table: where series are interned.
        monotonic: a clock that never goes back, in seconds.
        url: its address, with or without `/metrics`; None looks at the usual port of this host,
            and finding nothing there is no failure.
        devices: the GPUs and MIG instances that NVML shows now.
    """

    name = "dcgm"

    def __init__(
        self,
        table: SeriesTable,
        *,
        monotonic: Callable[[], float],
        url: str | None = None,
        devices: Callable[[], Collection[Device]] = tuple,
    ) -> None:
        self._table = table
        self._monotonic = monotonic
        self._configured = url is not None
        base = (url or DEFAULT_URL).removesuffix("/").removesuffix(_PATH)
        self._client = HttpClient(
            Address(url=base), max_size=_MAX_PAGE, size_hint="is collectors.dcgm.url the right one?"
        )
        self._devices = devices
        self._known: Collection[Device] = ()
        self._scanner = PageScanner(self._resolve)
        self._builder = ReadingBuilder(table)
        self._age = table.intern(catalog.DATA_AGE)
        self._page = b""
        self._changed = 0.0

    async def collect(self) -> Reading:
        """Read the page; blank values are absent.

        Raises:
            UnavailableError: no address is configured and none was found at the usual one.
            SourceError: the exporter does not answer, or with something else than its page, or
                its values are known to be stale.
        """
        try:
            page = (await self._client.get(_PATH)).body
            values = self._scan(page)
        except SourceError as error:
            if self._configured or self._page:
                raise
            raise UnavailableError(
                f"no dcgm-exporter found ({error}); if it listens elsewhere set collectors.dcgm.url"
            ) from error
        age = self._age_of(page)
        if age > MAX_AGE and b"_ENERGY" in page:
            raise SourceError(
                f"dcgm-exporter has shown the same values for {age:.0f} s; its host engine hangs, "
                "or its interval is longer than that"
            )
        for series_id, value in values.items():
            self._builder.add(series_id, value)
        self._builder.add(self._age, age)
        return self._builder.finish()

    async def aclose(self) -> None:
        """Close the connection; safe to call twice."""
        await self._client.aclose()

    def _scan(self, page: bytes) -> dict[int, float]:
        """Return the values that are there, by series."""
        known = self._devices()
        if known != self._known:
            # The scanner remembers what a series stands for, which may be another device now.
            self._known = known
            self._scanner = PageScanner(self._resolve)
        if b"DCGM_FI_" not in page:
            raise PageError("the page has no DCGM fields")
        values: dict[int, float] = {}
        for series_id, value in zip(*self._scanner.scan(page), strict=True):
            # A shared GPU stands on the page once for each of its pods, with one value.
            if 0.0 <= value < _BLANK:
                values.setdefault(series_id, value)
        return values

    def _resolve(self, name: str, labels: Mapping[str, str]) -> int | None:
        """Return the series of a sample, or None where it is not wanted."""
        metric = _FAMILIES.get(name)
        if metric is None:
            return None
        return self._table.intern(metric, device_of(labels, self._known))

    def _age_of(self, page: bytes) -> float:
        """Return for how long the page has been as it is, at least."""
        now = self._monotonic()
        if page != self._page:
            self._page = page
            self._changed = now
        return now - self._changed
