"""The memory of a GPU, split for each engine on it."""

import json
from collections.abc import Mapping

import pytest

from agent.analysis.memory_split import (
    FLAT,
    GpuMemory,
    Known,
    MemorySplitter,
    as_json,
    samples,
)
from agent.analysis.placement import GpuKey, Placer
from agent.catalog import agent, engine, gpu
from agent.catalog import placement as catalog
from agent.model import Frame, Metric, SeriesTable

GIB = 2.0**30
CHAT = ("vllm", "chat")
CODE = ("vllm", "code")
G0 = GpuKey("0", "GPU-a", "")
G1 = GpuKey("1", "GPU-b", "")
TOTAL = 80 * GIB
RESERVED = 0.5 * GIB


class Host:
    """A host whose GPU memory and engines are changed by hand, second by second."""

    def __init__(self) -> None:
        self.table = SeriesTable()
        self.time = 1000.0
        self.memory: dict[GpuKey, dict[int, float]] = {G0: {}}
        self.unlisted = 0.0
        self.owners: dict[int, tuple[str, str]] = {}
        self.up: dict[tuple[str, str], float] = {}
        self.facts: dict[tuple[Metric, tuple[str, ...]], float] = {}
        self.placer = Placer()
        self.splitter = MemorySplitter()
        self._ids: list[int] = []

    def say(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Have another series."""
        self.facts[metric, labels] = value

    def model(self, name: tuple[str, str], *, weights: float, tokens: float, each: float) -> None:
        """Have an engine's files and its KV cache known, in bytes and tokens."""
        self.say(catalog.WEIGHTS_SIZE, name, weights)
        self.say(catalog.KV_CACHE_TOKEN_SIZE, name, each)
        self.say(engine.KV_CACHE_CAPACITY, (*name, "m", "0"), tokens)
        self.say(engine.REQUESTS_RUNNING, (*name, "m", "0"), 0.0)

    def _samples(self) -> Mapping[tuple[Metric, tuple[str, ...]], float]:
        found: dict[tuple[Metric, tuple[str, ...]], float] = {}
        for key, held in self.memory.items():
            used = sum(held.values()) + self.unlisted
            found[gpu.MEMORY_USED, key] = used
            found[gpu.MEMORY_FREE, key] = TOTAL - RESERVED - used
            found[gpu.MEMORY_RESERVED, key] = RESERVED
            for pid, size in held.items():
                found[gpu.PROCESS_MEMORY, (*key, str(pid), "x")] = size
        for pid, name in self.owners.items():
            found[catalog.PROCESS_INFO, (*name, "worker", str(pid), "")] = 1.0
        for name, up in self.up.items():
            found[agent.ENGINE_UP, name] = up
        return {**found, **self.facts}

    def tick(self, seconds: int = 1) -> list[GpuMemory]:
        """Return the split after so many seconds."""
        split: list[GpuMemory] = []
        for _ in range(seconds):
            self.time += 1.0
            found = self._samples()
            ids = [self.table.intern(metric, labels) for metric, labels in found]
            if ids != self._ids:
                self._ids = ids
            frame = Frame(self.time, self.table, self._ids, list(found.values()))
            split = self.splitter.observe(frame, self.placer.observe(frame))
        return split

    def one(self, seconds: int = 1) -> GpuMemory:
        """Return the only split after so many seconds."""
        (found,) = self.tick(seconds)
        return found


def sizes(memory: GpuMemory) -> dict[str, float]:
    """Return the parts in GiB."""
    return {name: part.size / GIB for name, part in memory.parts.items()}


def evidence(memory: GpuMemory) -> dict[str, str]:
    """Return how each part is known."""
    return {name: part.evidence.value for name, part in memory.parts.items()}


def start(host: Host, name: tuple[str, str] = CHAT, pid: int = 7, key: GpuKey = G0) -> None:
    """Let an engine start: context, 14 GiB of weights, 50 GiB of KV cache, 2 GiB of graphs."""
    host.owners[pid] = name
    host.up[name] = 0.0
    host.say(engine.START_TIME, name, host.time)
    host.tick(5)
    held = host.memory[key]
    held[pid] = 0.5 * GIB
    host.tick(5)
    for _ in range(14):
        held[pid] += GIB
        host.tick()
    host.tick(5)
    held[pid] += 50 * GIB
    host.tick(3)
    for _ in range(10):
        held[pid] += 0.2 * GIB
        host.tick()
    host.up[name] = 1.0


def test_start_that_was_watched():
    """Everything that the engine holds is measured, and all parts add up to the GPU."""
    host = Host()
    host.memory[G0][99] = 3 * GIB
    host.unlisted = 0.25 * GIB
    host.tick(10)
    start(host)
    assert host.one(int(FLAT) - 2).parts.keys().isdisjoint({"weights", "growth"})
    memory = host.one(5)
    assert sizes(memory) == pytest.approx(
        {
            "weights": 14.5,
            "kv_cache": 50,
            "other": 2,
            "growth": 0,
            "other_tenants": 3,
            "unlisted": 0.25,
            "driver_reserved": 0.5,
            "free": 80 - 0.5 - 66.5 - 3.25,
        }
    )
    assert sum(sizes(memory).values()) * GIB == pytest.approx(TOTAL)
    measured = {name for name, how in evidence(memory).items() if how == "measured"}
    assert measured == {*memory.parts} - {"unlisted"}
    assert memory.unknown == {}


def test_growth_since_ready():
    """What the engine takes or gives back later is growth, and the other parts stay."""
    host = Host()
    host.tick()
    start(host)
    before = sizes(host.one(20))
    host.memory[G0][7] += 1.5 * GIB
    after = sizes(host.one())
    assert after == pytest.approx({**before, "growth": 1.5, "free": before["free"] - 1.5})
    host.memory[G0][7] -= 2 * GIB
    assert sizes(host.one())["growth"] == pytest.approx(-0.5)


def test_agent_that_came_later():
    """Without its start, an engine's parts follow from the files of its model."""
    host = Host()
    host.owners[7] = CHAT
    host.up[CHAT] = 1.0
    host.memory[G0][7] = 66 * GIB
    host.say(engine.START_TIME, CHAT, 10.0)
    host.model(CHAT, weights=14 * GIB, tokens=400_000, each=2**17)
    memory = host.one(12)
    found = sizes(memory)
    assert found["weights"] == pytest.approx(14)
    assert found["kv_cache"] == pytest.approx(400_000 * 2**17 / GIB)
    assert found["other"] == pytest.approx(66 - 14 - 400_000 * 2**17 / GIB)
    assert found["growth"] == 0
    assert {evidence(memory)[name] for name in ("weights", "kv_cache", "other", "growth")} == {
        "derived"
    }


def test_nothing_known_of_the_model():
    """Without its start and its files, the parts of an engine are unknown and not zero."""
    host = Host()
    host.owners[7] = CHAT
    host.up[CHAT] = 1.0
    host.memory[G0][7] = 66 * GIB
    memory = host.one(12)
    assert {*memory.parts} == {"growth", "other_tenants", "unlisted", "driver_reserved", "free"}
    assert {*memory.unknown} == {"weights", "kv_cache", "other"}


def test_utilization_stands_in_for_the_size_of_a_token():
    """An engine that fills a share of the GPU in advance has its KV cache in the rest."""
    host = Host()
    host.owners[7] = CHAT
    host.up[CHAT] = 1.0
    host.memory[G0][7] = 66 * GIB
    host.say(catalog.WEIGHTS_SIZE, CHAT, 16 * GIB)
    labels = ["" for _ in engine.INFO.labels]
    labels[:2] = CHAT
    labels[engine.INFO.labels.index("gpu_memory_utilization")] = "0.9"
    host.say(engine.INFO, tuple(labels), 1.0)
    memory = host.one(12)
    assert sizes(memory)["kv_cache"] == pytest.approx(50)
    assert "0.9" in memory.parts["kv_cache"].how
    assert "other" in memory.unknown


def test_files_that_cannot_be_its_own():
    """Files that are larger than all that the engine holds say nothing about it."""
    host = Host()
    host.owners[7] = CHAT
    host.up[CHAT] = 1.0
    host.memory[G0][7] = 10 * GIB
    host.model(CHAT, weights=14 * GIB, tokens=1000, each=2**17)
    memory = host.one(12)
    assert {"weights", "kv_cache", "other"} <= {*memory.unknown}


def test_several_gpus_share_weights_and_cache():
    """With tensor parallelism each GPU has its part of what the files and the tokens say."""
    host = Host()
    host.memory[G1] = {}
    host.up[CHAT] = 1.0
    host.model(CHAT, weights=40 * GIB, tokens=100_000, each=2**18)
    for pid, key in ((7, G0), (8, G1)):
        host.owners[pid] = CHAT
        host.memory[key][pid] = 40 * GIB
    for memory in host.tick(12):
        assert sizes(memory)["weights"] == pytest.approx(20)
        assert sizes(memory)["kv_cache"] == pytest.approx(100_000 * 2**18 / GIB / 2)


def test_data_parallel_ranks_have_whole_weights():
    """Two ranks on two GPUs have the weights twice."""
    host = Host()
    host.memory[G1] = {}
    host.up[CHAT] = 1.0
    host.model(CHAT, weights=20 * GIB, tokens=50_000, each=2**18)
    host.say(engine.KV_CACHE_CAPACITY, (*CHAT, "m", "1"), 50_000)
    host.say(engine.REQUESTS_RUNNING, (*CHAT, "m", "1"), 0.0)
    for pid, key in ((7, G0), (8, G1)):
        host.owners[pid] = CHAT
        host.memory[key][pid] = 40 * GIB
    for memory in host.tick(12):
        assert sizes(memory)["weights"] == pytest.approx(20)
        assert sizes(memory)["kv_cache"] == pytest.approx(50_000 * 2**18 / GIB)


def test_second_engine_is_a_tenant():
    """For each of two engines the other one is a tenant."""
    host = Host()
    for pid, name in ((7, CHAT), (8, CODE)):
        host.owners[pid] = name
        host.up[name] = 1.0
    host.memory[G0] = {7: 30 * GIB, 8: 20 * GIB}
    tenants = {memory.instance: sizes(memory)["other_tenants"] for memory in host.tick(12)}
    assert tenants == {CHAT: 20, CODE: 30}


def test_second_engine_that_starts_is_measured_apart():
    """An engine that starts beside one that runs is measured by what it adds."""
    host = Host()
    host.owners[8] = CODE
    host.up[CODE] = 1.0
    host.memory[G0][8] = 5 * GIB
    host.tick(20)
    start(host)
    found = {memory.instance: sizes(memory) for memory in host.tick(15)}
    assert found[CHAT]["weights"] == pytest.approx(14.5)  # type: ignore[index] # as its labels
    assert found[CHAT]["kv_cache"] == pytest.approx(50)  # type: ignore[index]
    assert found[CODE]["growth"] == 0  # type: ignore[index]


def test_driver_that_is_silent_for_a_while():
    """An engine that goes on while the driver says nothing keeps what was measured of it."""
    host = Host()
    host.tick()
    start(host)
    before = sizes(host.one(20))
    memory = dict(host.memory)
    host.memory.clear()
    assert host.tick(60) == []
    host.memory.update(memory)
    host.memory[G0][7] += GIB
    after = host.one()
    assert sizes(after)["growth"] == pytest.approx(1)
    assert evidence(after)["weights"] == "measured"
    assert sizes(after)["weights"] == before["weights"]


def test_restart_begins_anew():
    """After a restart the engine is not ready until its memory is level again."""
    host = Host()
    host.tick()
    start(host)
    host.memory[G0][7] += 4 * GIB
    host.tick(20)
    del host.memory[G0][7], host.owners[7]
    assert host.tick(3) == []
    start(host, pid=17)
    memory = host.one(15)
    assert sizes(memory)["weights"] == pytest.approx(14.5)
    assert sizes(memory)["growth"] == 0


def test_restart_without_a_gap():
    """Other processes of the same engine are another start, even if nobody saw it end."""
    host = Host()
    host.owners[7] = CHAT
    host.up[CHAT] = 1.0
    host.memory[G0][7] = 60 * GIB
    assert "growth" in host.one(15).parts
    del host.owners[7], host.memory[G0][7]
    host.owners[8] = CHAT
    host.memory[G0][8] = 10 * GIB
    memory = host.one()
    assert memory.ready_at is None
    assert "growth" in memory.unknown


def test_configured_engine_alone():
    """What is in use is taken for that of the only engine that the configuration puts there."""
    host = Host()
    host.say(catalog.PINNED_INFO, (*CHAT, "0"), 1.0)
    host.up[CHAT] = 1.0
    host.memory[G0][99] = 30 * GIB
    memory = host.one(15)
    assert memory.held == 30 * GIB
    assert evidence(memory)["growth"] == "derived"
    assert "other_tenants" in memory.unknown


def test_configured_engines_together():
    """Of two engines that only the configuration places, nobody knows who holds what."""
    host = Host()
    for name in (CHAT, CODE):
        host.say(catalog.PINNED_INFO, (*name, "0"), 1.0)
        host.up[name] = 1.0
    host.memory[G0][99] = 30 * GIB
    for memory in host.tick(15):
        assert memory.held is None
        assert {*memory.parts} == {"driver_reserved", "free"}


def test_memory_that_never_rests():
    """A restless tenant delays by half a minute when an engine counts as ready, no more."""
    host = Host()
    host.owners[7] = CHAT
    host.up[CHAT] = 1.0
    host.memory[G0] = {7: 30 * GIB, 99: 0.0}
    for second in range(35):
        host.memory[G0][99] = (second % 2) * GIB
        memory = host.one()
        assert (memory.ready_at is None) == (second < 30)


def test_samples_and_json():
    """Each part is a sample with its evidence; the JSON has the reasons too."""
    host = Host()
    host.owners[7] = CHAT
    host.up[CHAT] = 1.0
    host.memory[G0][7] = 66 * GIB
    memory = host.one(12)
    found = {labels[-2:]: value for _metric, labels, value in samples(memory)}
    assert found["free", "measured"] == TOTAL - RESERVED - 66 * GIB
    assert all(labels[:5] == (*CHAT, *G0) for _metric, labels, _value in samples(memory))
    shown = json.loads(json.dumps(as_json(memory)))
    assert shown["parts"]["growth"] == {
        "bytes": 0.0,
        "evidence": Known.DERIVED,
        "how": "since the agent first saw it ready",
    }
    assert shown["unknown"]["weights"]
