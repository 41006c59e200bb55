"""A dcgm-exporter of any age gives the values that NVML would, under the same names."""

from collections.abc import AsyncIterator

import pytest

from agent.model import Reading, SeriesTable, SourceError, UnavailableError
from agent.pipeline import Look, Pipeline, SourceSpec
from collectors.dcgm import MAX_AGE, DcgmCollector, Device
from tests.fakes.clock import ManualClock
from tests.fakes.engine_server import EngineServer, body, status
from tests.fakes.samples import samples

A, B = "GPU-265c9814-6156-355b-e589-ff2064894f16", "GPU-2d20791a-b4a6-ba59-97f1-e95b99fe5b49"

# Label styles by the exporter's own templates: 1.x and 2.x with few labels, 3.x and 4.x with the
# address and the driver's version, 4.9 with the fields as DCGM 4.7 renamed them.
OLD = f"""\
# HELP DCGM_FI_DEV_GPU_TEMP GPU temperature (in C).
# TYPE DCGM_FI_DEV_GPU_TEMP gauge
# HELP DCGM_FI_PROF_SM_ACTIVE The ratio of cycles an SM has at least 1 warp assigned.
# TYPE DCGM_FI_PROF_SM_ACTIVE gauge
DCGM_FI_DEV_GPU_TEMP{{gpu="0", UUID="{A}"}} 41
DCGM_FI_PROF_SM_ACTIVE{{gpu="0", UUID="{A}"}} 0.250000
DCGM_FI_PROF_SM_ACTIVE{{gpu="1", uuid="{B}"}} 0.500000
"""


def page(*lines: str, uuid: str = A, extra: str = "") -> str:
    """Return a page of one GPU in the style of 3.x, from `FIELD value` lines."""
    labels = (
        f'gpu="0",UUID="{uuid}",pci_bus_id="00000000:3B:00.0",device="nvidia0",'
        f'modelName="NVIDIA A30"{extra},Hostname="node-1",DCGM_FI_DRIVER_VERSION="535.129.03"'
    )
    text = ""
    for line in lines:
        field, value = line.split()
        text += f"# HELP {field} Words.\n# TYPE {field} gauge\n{field}{{{labels}}} {value}\n"
    return text


ALL = {
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": ("DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", "graphics_activity"),
    "DCGM_FI_PROF_SM_ACTIVE": ("DCGM_FI_PROF_SM_UTIL_RATIO", "sm_activity"),
    "DCGM_FI_PROF_SM_OCCUPANCY": ("DCGM_FI_PROF_SM_OCCUPANCY_RATIO", "sm_occupancy"),
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": ("DCGM_FI_PROF_TENSOR_UTIL_RATIO", "tensor_activity"),
    "DCGM_FI_PROF_DRAM_ACTIVE": ("DCGM_FI_PROF_DRAM_UTIL_RATIO", "dram_activity"),
}


class World:
    """A dcgm-exporter and the collector that reads it."""

    def __init__(self, server: EngineServer, *, url: str | None = None) -> None:
        self.server = server
        self.clock = ManualClock()
        self.table = SeriesTable()
        self.devices: list[Device] = []
        self.collector = DcgmCollector(
            self.table,
            monotonic=self.clock.monotonic,
            url=url,
            devices=lambda: tuple(self.devices),
        )

    def show(self, text: str) -> None:
        """Let the exporter show a page."""
        self.server.documents["/metrics"] = text.encode()

    async def look(self) -> dict[str, float]:
        """Return what one look gives."""
        return samples(self.table, await self.collector.collect())


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Return an exporter with one GPU, configured."""
    async with EngineServer() as server:
        it = World(server, url=f"{server.url}/metrics")
        it.show(page("DCGM_FI_PROF_SM_ACTIVE 0.5"))
        yield it
        await it.collector.aclose()
        await it.collector.aclose()


def name_of(metric: str, gpu: str = "0", uuid: str = A, mig: str = "") -> str:
    """Return a sample's name as NVML's samples have it."""
    pairs = {"gpu": gpu, "uuid": uuid, "mig": mig}
    labels = ",".join(f'{key}="{value}"' for key, value in pairs.items() if value)
    return f"gpu_{metric}{{{labels}}}"


@pytest.mark.parametrize("naming", [0, 1], ids=["before DCGM 4.7", "since DCGM 4.7"])
async def test_all_fields(world: World, naming: int) -> None:
    """Each profiling field becomes NVML's metric, under its old name and its new one."""
    fields = [(old, new)[naming] for old, (new, _) in ALL.items()]
    lines = [f"{field} 0.{number}" for number, field in enumerate(fields, 1)]
    world.show(page(*lines, "DCGM_FI_PROF_NVLINK_TX_BYTES 2e9", "DCGM_FI_PROF_NVLINK_RX_BYTES 1e9"))
    expected = {
        name_of(f"{metric}_ratio"): number / 10
        for number, (_, metric) in enumerate(ALL.values(), 1)
    }
    assert await world.look() == expected | {
        name_of("nvlink_transmit_bytes_per_second"): 2e9,
        name_of("nvlink_receive_bytes_per_second"): 1e9,
        "dcgm_data_age_seconds": 0,
    }


async def test_old_label_style(world: World) -> None:
    """Spaces between labels and `uuid` in lower case, as old exporters write them, are read."""
    world.show(OLD)
    assert await world.look() == {
        name_of("sm_activity_ratio"): 0.25,
        name_of("sm_activity_ratio", "1", B): 0.5,
        "dcgm_data_age_seconds": 0,
    }


@pytest.mark.parametrize(
    "blank",
    ["9223372036854775794", "9223372036854775792", "140737488355328.000000", "NaN", "-1"],
)
async def test_blank_is_absent(world: World, blank: str) -> None:
    """A value that DCGM marks as missing has no sample; the others stay."""
    world.show(page(f"DCGM_FI_PROF_SM_ACTIVE {blank}", "DCGM_FI_PROF_DRAM_ACTIVE 0.25"))
    assert await world.look() == {
        name_of("dram_activity_ratio"): 0.25,
        "dcgm_data_age_seconds": 0,
    }


async def test_what_nvml_gives_is_left_out(world: World) -> None:
    """Memory, power, PCIe rates and the latched XID of DCGM make no second series."""
    world.show(
        page(
            "DCGM_FI_DEV_FB_USED 1000",
            "DCGM_FI_DEV_POWER_USAGE 250",
            "DCGM_FI_PROF_PCIE_TX_BYTES 12345",
            "DCGM_FI_DEV_XID_ERRORS 79",
        )
    )
    assert await world.look() == {"dcgm_data_age_seconds": 0}


async def test_shared_gpu_is_one_series(world: World) -> None:
    """A GPU that is repeated for each of its pods has one sample."""
    one = page("DCGM_FI_PROF_SM_ACTIVE 0.5", extra=',pod="a"')
    two = page("DCGM_FI_PROF_SM_ACTIVE 0.5", extra=',pod="b"')
    world.show(one + two.splitlines()[-1] + "\n")
    assert await world.look() == {name_of("sm_activity_ratio"): 0.5, "dcgm_data_age_seconds": 0}


async def test_index_is_nvmls(world: World) -> None:
    """Where DCGM and NVML number a GPU differently, the identifier decides and NVML's is shown."""
    world.devices = [("0", B, ""), ("1", A, "")]
    assert name_of("sm_activity_ratio", "1", A) in await world.look()


async def test_missing_uuid(world: World) -> None:
    """Without an identifier the index finds it, and without NVML it stays empty."""
    world.show('DCGM_FI_PROF_SM_ACTIVE{gpu="0",device="nvidia0"} 0.5\n')
    assert name_of("sm_activity_ratio", uuid="") in await world.look()
    world.devices = [("0", A, "")]
    assert name_of("sm_activity_ratio") in await world.look()


async def test_mig_instance(world: World) -> None:
    """An instance has NVML's identifier and place once NVML shows it, DCGM's words before."""
    mig = ',GPU_I_PROFILE="1g.6gb",GPU_I_ID="3"'
    world.show(page("DCGM_FI_PROF_GR_ENGINE_ACTIVE 0.5", extra=mig))
    assert name_of("graphics_activity_ratio", mig="3") in await world.look()
    world.devices = [("0", A, ""), ("0", "MIG-x", "3/0"), ("0", "MIG-y", "4/0")]
    assert name_of("graphics_activity_ratio", "0", "MIG-x", "3/0") in await world.look()
    world.devices += [("0", "MIG-z", "3/1")]
    assert name_of("graphics_activity_ratio", mig="3") in await world.look()


async def test_nvml_wins_where_both_know(world: World) -> None:
    """In a frame NVML's value is kept, DCGM's fills what NVML lacks and steps in when it fails."""
    world.show(page("DCGM_FI_PROF_SM_ACTIVE 0.5", "DCGM_FI_PROF_DRAM_ACTIVE 0.25"))
    from_dcgm = await world.collector.collect()
    sm_activity = from_dcgm.ids[0]
    pipeline = Pipeline(world.table)
    for name in ("nvml", "dcgm"):
        pipeline.add_source(SourceSpec(name=name, stale_after=10.0))

    def frame(time: float, *looks: Look) -> dict[str, float]:
        shown = samples(world.table, pipeline.conclude(time, looks, Reading((), ())))
        return {name: value for name, value in shown.items() if "activity" in name}

    nvml = Look(source="nvml", duration=0.0, reading=Reading([sm_activity], [0.75]))
    dcgm = Look(source="dcgm", duration=0.0, reading=from_dcgm)
    assert frame(0.0, nvml, dcgm) == {
        name_of("sm_activity_ratio"): 0.75,
        name_of("dram_activity_ratio"): 0.25,
    }
    assert frame(20.0, dcgm)[name_of("sm_activity_ratio")] == 0.5


async def test_age_of_data(world: World) -> None:
    """The age is the time since anything on the page changed."""
    await world.look()
    world.clock.advance(20)
    assert (await world.look())["dcgm_data_age_seconds"] == 20
    world.show(page("DCGM_FI_PROF_SM_ACTIVE 0.75"))
    world.clock.advance(5)
    assert (await world.look())["dcgm_data_age_seconds"] == 0


async def test_stale_values_are_refused(world: World) -> None:
    """A page whose energy stands still is not served as healthy; an idle one without it is."""
    world.show(page("DCGM_FI_PROF_SM_ACTIVE 0", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION 5"))
    await world.look()
    world.clock.advance(MAX_AGE + 1)
    with pytest.raises(SourceError, match="same values for 151 s"):
        await world.look()
    world.show(page("DCGM_FI_PROF_SM_ACTIVE 0"))
    await world.look()
    world.clock.advance(MAX_AGE + 1)
    assert (await world.look())["dcgm_data_age_seconds"] == MAX_AGE + 1


async def test_layout_is_kept(world: World) -> None:
    """The list of series is the same object while the page has the same series."""
    first = await world.collector.collect()
    world.show(page("DCGM_FI_PROF_SM_ACTIVE 0.75"))
    assert (await world.collector.collect()).ids is first.ids


async def test_none_found() -> None:
    """Nothing at the usual port is no failure, and the message says what to set."""
    async with EngineServer() as server:
        url = server.url
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("collectors.dcgm.DEFAULT_URL", url)
        world = World(server)
        with pytest.raises(UnavailableError, match=r"cannot connect.*set collectors\.dcgm\.url"):
            await world.look()
        await world.collector.aclose()


async def test_found_then_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that was found at the usual port and then fails is broken, not absent."""
    async with EngineServer() as server:
        monkeypatch.setattr("collectors.dcgm.DEFAULT_URL", server.url)
        world = World(server)
        world.show(page("DCGM_FI_PROF_SM_ACTIVE 0.5"))
        await world.look()
        server.behaviours["/metrics"] = status(500)
        with pytest.raises(SourceError, match="500") as error:
            await world.look()
        assert not isinstance(error.value, UnavailableError)
        await world.collector.aclose()


async def test_something_else_at_the_usual_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program's page at the port is not taken for DCGM's."""
    async with EngineServer() as server:
        monkeypatch.setattr("collectors.dcgm.DEFAULT_URL", server.url)
        world = World(server)
        world.show("go_goroutines 7\n")
        with pytest.raises(UnavailableError, match="no DCGM fields"):
            await world.look()
        await world.collector.aclose()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(404), "404"),
        (status(503), "503"),
        (body(b""), "no DCGM fields"),
        (body(b"<html>DCGM_FI_</html>\n"), "html"),
        (body(b'DCGM_FI_PROF_SM_ACTIVE{gpu="0"} 0.5\nDCGM_FI_PROF_SM_ACT'), "cut off"),
    ],
    ids=["not found", "loading", "empty", "HTML", "cut"],
)
async def test_broken_exporter(world: World, answer: object, message: str) -> None:
    """A configured exporter that gives no page is broken, with the reason."""
    world.server.behaviours["/metrics"] = answer  # type: ignore[assignment]
    with pytest.raises(SourceError, match=message) as error:
        await world.look()
    assert not isinstance(error.value, UnavailableError)
