"""Who runs where, from what the driver and the processes collector list."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.placement import (
    NOWHERE,
    Evidence,
    GpuKey,
    Instance,
    Placement,
    Placer,
    as_json,
)
from agent.catalog import gpu
from agent.catalog import placement as catalog
from agent.model import Frame, SeriesTable
from tests.fakes.samples import samples

CHAT = ("vllm", "chat")
CODE = ("vllm", "code")
G0 = GpuKey("0", "GPU-a", "")
G1 = GpuKey("1", "GPU-b", "")
M0 = GpuKey("0", "MIG-x", "1/0")


class Host:
    """A host whose frames are written by hand."""

    def __init__(self) -> None:
        self.table = SeriesTable()
        self.ids: list[int] = []
        self.values: list[float] = []
        self.placer = Placer()

    def gpu(self, key: GpuKey, *pids: int, index: int | None = None) -> "Host":
        """Add a GPU and the processes that the driver lists there."""
        self._add(self.table.intern(gpu.MEMORY_USED, key), 1e9)
        if index is not None:
            self._add(self.table.intern(gpu.INDEX, key[:2]), float(index))
        for pid in pids:
            self._add(self.table.intern(gpu.PROCESS_MEMORY, (*key, str(pid), "x")), 1e9)
        return self

    def engine(self, name: Sequence[str], *pids: int, rank: str = "") -> "Host":
        """Add processes of an engine."""
        for pid in pids:
            labels = (*name, "worker", str(pid), rank)
            self._add(self.table.intern(catalog.PROCESS_INFO, labels), 1.0)
        return self

    def pin(self, name: Sequence[str], *devices: str) -> "Host":
        """Add what the configuration says of an engine."""
        for device in devices:
            self._add(self.table.intern(catalog.PINNED_INFO, (*name, device)), 1.0)
        return self

    def _add(self, series_id: int, value: float) -> None:
        self.ids.append(series_id)
        self.values.append(value)

    def look(self) -> Placement:
        """Return the placement of a frame with all this."""
        frame = Frame(1.0, self.table, self.ids, self.values)
        self.placer.observe(frame)
        return self.placer.placement


def test_engine_is_where_the_driver_lists_its_process():
    """The GPU whose list holds a process of the engine is the engine's."""
    placement = Host().gpu(G0, 7).gpu(G1, 9).engine(CHAT, 7, 8).look()
    assert placement.gpus_of(*CHAT) == (G0,)
    assert placement.engines_on(G0) == (Instance(*CHAT),)
    assert placement.engines_on(G1) == ()
    assert placement.ties[0].evidence is Evidence.PROCESS
    assert placement.ties[0].pids == {"7"}


def test_tensor_parallel():
    """An engine with a worker on each GPU has them all, ordered by number and not by text."""
    host = Host()
    for number in (10, 2, 0):
        host.gpu(GpuKey(str(number), f"GPU-{number}", ""), 100 + number)
    placement = host.engine(CHAT, 100, 102, 110).look()
    assert [key.gpu for key in placement.gpus_of(*CHAT)] == ["0", "2", "10"]


def test_data_parallel():
    """Each rank has the GPUs of its own processes; all ranks together have all of them."""
    host = Host().gpu(G0, 7).gpu(G1, 8)
    placement = host.engine(CHAT, 7, rank="0").engine(CHAT, 8, rank="1").look()
    assert placement.gpus_of(*CHAT, "0") == (G0,)
    assert placement.gpus_of(*CHAT, "1") == (G1,)
    assert placement.gpus_of(*CHAT) == (G0, G1)


def test_rank_whose_processes_do_not_tell():
    """Where no title names the rank, any GPU of the engine may be its own."""
    placement = Host().gpu(G0, 7).gpu(G1, 8).engine(CHAT, 7, 8).look()
    assert placement.gpus_of(*CHAT, "1") == (G0, G1)


def test_several_engines_on_one_gpu():
    """Each engine with a process there is on the GPU."""
    placement = Host().gpu(G0, 7, 8).engine(CHAT, 7).engine(CODE, 8).look()
    assert placement.engines_on(G0) == (Instance(*CHAT), Instance(*CODE))


def test_mig():
    """A process in a MIG instance is there, even if the GPU that is cut up lists it as well."""
    placement = Host().gpu(G0, 7).gpu(M0, 7).gpu(G1, 7).engine(CHAT, 7).look()
    assert set(placement.gpus_of(*CHAT)) == {M0, G1}


def test_configuration_wins():
    """What the configuration says counts alone; processes that confirm it are kept with it."""
    placement = Host().gpu(G0, 7).gpu(G1, 8).engine(CHAT, 7, 8).pin(CHAT, "1").look()
    (tie,) = placement.ties
    assert (tie.gpu, tie.evidence, tie.pids) == (G1, Evidence.CONFIG, {"8"})


def test_configuration_by_identifier():
    """GPUs and MIG instances can be named by their identifiers."""
    placement = Host().gpu(G0).gpu(M0).gpu(G1).pin(CHAT, "MIG-x", "GPU-b").look()
    assert set(placement.gpus_of(*CHAT)) == {M0, G1}


def test_index_is_the_drivers_of_now():
    """After the driver renumbered its GPUs an index of the configuration means the new order."""
    host = Host().gpu(G0, index=0).gpu(G1, index=1).pin(CHAT, "0")
    assert host.look().gpus_of(*CHAT) == (G0,)
    host.values = [
        1.0 - value if host.table[number].metric is gpu.INDEX else value
        for number, value in zip(host.ids, host.values, strict=True)
    ]
    assert host.look().gpus_of(*CHAT) == (G1,)


def test_device_that_is_not_there():
    """A device that the driver does not show places nothing and is named."""
    placement = Host().gpu(G0, 7).engine(CHAT, 7).pin(CHAT, "5").look()
    assert placement.ties == ()
    assert placement.unresolved == {Instance(*CHAT): ("5",)}
    assert as_json(placement) == [
        {"engine": "vllm", "instance_name": "chat", "evidence": "config", "not_found": ["5"]}
    ]


def test_nothing_known():
    """A frame without engines or GPUs places nothing and has no samples."""
    host = Host()
    assert host.look() == NOWHERE
    assert host.placer.reading.ids == ()


def test_samples_and_json():
    """The metric says engine, GPU and evidence; the JSON adds ranks and processes."""
    host = Host().gpu(G0, 7).engine(CHAT, 7, rank="0")
    placement = host.look()
    assert samples(host.table, host.placer.reading) == {
        'engine_gpu{engine="vllm",instance_name="chat",gpu="0",uuid="GPU-a",evidence="process"}': 1
    }
    assert as_json(placement) == [
        {
            "engine": "vllm",
            "instance_name": "chat",
            "gpu": "0",
            "uuid": "GPU-a",
            "mig": "",
            "evidence": "process",
            "ranks": ["0"],
            "pids": [7],
        }
    ]


def test_same_object_while_nothing_changes():
    """A process of somebody else that comes and goes changes neither placement nor samples."""
    host = Host().gpu(G0, 7).engine(CHAT, 7)
    placement, reading = host.look(), host.placer.reading
    host.ids = [*host.ids, host.table.intern(gpu.PROCESS_MEMORY, (*G0, "99", "y"))]
    host.values = [*host.values, 1.0]
    assert host.look() is placement
    assert host.placer.reading is reading


def test_engine_that_ended():
    """When its processes are gone the engine is nowhere."""
    host = Host().gpu(G0, 7).engine(CHAT, 7)
    host.look()
    host.ids, host.values = [], []
    assert host.gpu(G0).look() == NOWHERE


@given(
    st.dictionaries(st.integers(1, 8), st.sampled_from([CHAT, CODE])),
    st.lists(st.tuples(st.sampled_from([G0, G1]), st.integers(1, 8)), max_size=12),
)
def test_ties_are_exactly_where_both_lists_meet(
    owners: dict[int, tuple[str, str]], listed: list[tuple[GpuKey, int]]
):
    """Whatever is listed, an engine is on a GPU if and only if one of its processes is."""
    host = Host()
    for pid, name in owners.items():
        host.engine(name, pid)
    for key, pid in set(listed):
        host.gpu(key, pid)
    host.ids, host.values = list(dict.fromkeys(host.ids)), [1.0] * len(set(host.ids))
    placement = host.look()
    expected = {(owners[pid], key) for key, pid in listed if pid in owners}
    assert {(tuple(tie.instance), tie.gpu) for tie in placement.ties} == expected
