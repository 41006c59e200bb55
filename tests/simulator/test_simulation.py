"""The two ways out of a simulation tell the same; what runs out and what fails is noted."""

import asyncio
import random
from pathlib import Path

import pytest

from agent.config import EngineInstance
from agent.model import Frame, SeriesTable
from agent.recording.scrapes import CaptureReader
from collectors.engines import ENGINES
from collectors.engines.collector import EngineCollector
from tests.fakes.clock import ManualClock
from tests.fakes.nvml.controller import StubDriver
from tests.fakes.nvml.watched import watched
from tests.simulator import capture
from tests.simulator.disturb import Down, EngineGrowth, HostLeak
from tests.simulator.engine import Engine
from tests.simulator.gpus import Card
from tests.simulator.law import StepLaw
from tests.simulator.limits import Limits
from tests.simulator.scenarios import SCENARIOS
from tests.simulator.server import Server
from tests.simulator.simulation import Member, Simulation
from tests.simulator.workload import Evenly, Mix, OpenLoop, steady

LAW = StepLaw(host=0.002, weights=0.01, kv=1e-6, token=2e-4)
LIMITS = Limits(max_num_seqs=16, num_blocks=256, max_model_len=1024)
MIX = Mix(prompt=Evenly(20, 300), output=Evenly(10, 100), groups=2, prefix=64, aborted=0.1)


def engine(seed: int, rate: float = 3.0) -> Engine:
    """Return an engine with some load."""
    dice = random.Random(seed)
    load = OpenLoop(MIX, steady(rate), highest=rate, dice=dice)
    return Engine(LAW, LIMITS, load, dice=dice)


def named(frame: Frame) -> dict[tuple[str, ...], float]:
    """Return the values of a frame by sample name and label values, `le` last."""
    found = {}
    for series_id, value in zip(frame.ids, frame.values, strict=True):
        series = frame.table[series_id]
        found[series.sample_name, *series.labels, series.le] = value
    assert len(found) == len(frame.ids)
    return found


def value(frame: Frame, name: str, *labels: str) -> float | None:
    """Return the value of the first series of that name with these label values."""
    for key, number in named(frame).items():
        if key[0] == name and all(label in key for label in labels):
            return number
    return None


@pytest.mark.parametrize("ranks", [1, 2])
async def test_the_page_gives_the_collector_what_the_frame_holds(ranks: int):
    """What the collector reads from the real port is, to the last bit, what the frame holds."""
    member = Member(engines=[engine(seed) for seed in range(ranks)], limits_known=False)
    simulation = Simulation(members=[member], seconds=40)
    server = Server(simulation)
    table = SeriesTable()
    replica = simulation.replicas[0]
    server.step()
    await server._servers[0].start()
    collector = EngineCollector(
        EngineInstance(name="engine-0", engine="vllm", url=server._servers[0].url),
        engine=ENGINES["vllm"],
        table=table,
        clock=ManualClock(),
        max_page_size=1 << 24,
    )
    try:
        for second in range(2, 12):
            ids, values = replica.samples(table, float(second))
            fast = dict(zip(ids, values, strict=True))
            reading = await collector.collect()
            read = dict(zip(reading.ids, reading.values, strict=True))
            up = fast.pop(ids[-1])
            assert up == 1.0
            assert read == fast
            server.step()
    finally:
        await collector.aclose()
        await server.aclose()


async def test_the_driver_gives_the_collector_what_the_frame_holds(tmp_path: Path):
    """What the collector reads through the stub driver is what the frame holds of the GPUs."""
    member = Member(engines=[engine(1)], cards=(1,))
    simulation = Simulation(members=[member], seconds=20, cards=[Card(index=0), Card(index=1)])
    driver = StubDriver(tmp_path, gpus=2)
    server = Server(simulation, driver=driver)
    for _ in range(10):
        server.step()
    async with watched(driver) as watching:
        await watching.look()
        await asyncio.sleep(0.11)  # GPM needs two samples that far apart, in real time
        read = await watching.look(1)
    fast = {}
    for card in simulation.cards:
        for metric, labels, number in card.samples():
            name = metric.name.removeprefix("inferwatch_")
            own = [labels.get(label, "") for label in metric.labels[3:]]
            # The stub's processes do not exist, so the collector finds no name for them.
            own = own[:1] if name.startswith("gpu_process") else own
            fast[name, str(card.index), *own] = number
    read = {
        key[:3] if key[0].startswith("gpu_process") else key: number for key, number in read.items()
    }
    assert {key: read.get(key) for key in fast} == fast
    assert fast["gpu_sm_activity_ratio", "0"] == 0.0 < fast["gpu_sm_activity_ratio", "1"]


def test_a_scenario_is_the_same_each_time():
    """The same name gives the same frames and truths, another seed gives others."""

    def beginning(name: str) -> list[object]:
        frames = SCENARIOS[name].run(SeriesTable())
        return [(named(frame), truth.cause) for frame, truth in (next(frames) for _ in range(40))]

    assert beginning("kv_memory-0") == beginning("kv_memory-0")
    assert beginning("kv_memory-0") != beginning("kv_memory-1")


def test_the_list_of_series_stays_while_they_are_the_same():
    """Whoever prepares something for a list of series can keep it."""
    simulation = Simulation(
        members=[Member(engines=[engine(1)])], seconds=30, cards=[Card(index=0)]
    )
    assert len({id(frame.ids) for frame, _truth in simulation.run(SeriesTable())}) == 1


def test_only_pages_are_only_pages():
    """Without GPUs, processes and host a frame holds what stands on the page, and `up`."""
    frames = SCENARIOS["healthy-0"].run(SeriesTable(), pages_only=True)
    frame, _truth = next(frames)
    names = {key[0] for key in named(frame)}
    assert all(name.startswith("inferwatch_engine_") for name in names)
    assert not any("process" in name for name in names)


def test_a_page_that_cannot_be_read_grows_stale():
    """An engine that is down says so at once; its last numbers stay for ten seconds, then go."""
    member = Member(engines=[engine(1)], disturbances=[Down(begin=5.0, end=20.0)])
    simulation = Simulation(members=[member], seconds=25)
    frames = [frame for frame, _truth in simulation.run(SeriesTable())]
    ups = [value(frame, "inferwatch_engine_up") for frame in frames]
    assert ups == [1.0] * 5 + [0.0] * 15 + [1.0] * 5
    running = [value(frame, "inferwatch_engine_requests_running") for frame in frames]
    assert None not in running[:15]
    assert set(running[15:20]) == {None}
    assert None not in running[20:]


def test_what_runs_out_is_noted_when_it_does():
    """Leaks end at the moment that arithmetic says, on the device and on the host."""
    free = 9 * float(1 << 30)
    host = 88 * float(1 << 30)
    member = Member(
        engines=[engine(1)],
        disturbances=[
            EngineGrowth(begin=10.0, growth=free / 50.0),
            HostLeak(begin=10.0, growth=host / 60.0),
        ],
    )
    simulation = Simulation(members=[member], seconds=90, cards=[Card(index=0)])
    for second in range(90):
        simulation.step(second)
    found = {one.kind: one.time for one in simulation.exhaustions}
    assert found["device_memory"] == pytest.approx(61.0, abs=1.0)
    assert found["host_memory"] == pytest.approx(71.0, abs=1.0)


def test_engines_of_one_gpu_slow_each_other_down():
    """Two that want the whole GPU take longer for a step than one that has it alone."""

    def gaps(count: int) -> float:
        members = [Member(engines=[engine(seed, 8.0)], kv_bytes=1e9) for seed in range(count)]
        simulation = Simulation(members=members, seconds=60, cards=[Card(index=0)])
        for second in range(60):
            simulation.step(second)
        return simulation.truths["engine-0", 0].lengthening

    assert gaps(1) == pytest.approx(1.0)
    assert gaps(2) > 1.4


def test_a_long_step_keeps_its_gpu_busy_to_its_end():
    """A step of five seconds is work in each of them, also for the process that does it."""
    dice = random.Random(1)
    law = StepLaw(host=0.0, weights=5.0, kv=1e-6, token=2e-4)
    slow = Engine(law, LIMITS, OpenLoop(MIX, steady(3.0), highest=3.0, dice=dice), dice=dice)
    simulation = Simulation(members=[Member(engines=[slow])], seconds=60, cards=[Card(index=0)])
    frames = [frame for frame, _truth in simulation.run(SeriesTable())][30:]
    seen = [value(frame, "inferwatch_gpu_utilization_ratio") or 0.0 for frame in frames]
    assert min(seen) > 0.8


def test_a_restart_begins_to_count_anew():
    """After a restart counters are small, the start is later, and the collector's event came."""
    simulation = Simulation(members=[Member(engines=[engine(1)])], seconds=60)
    frames = simulation.run(SeriesTable())
    before = [next(frames)[0] for _ in range(30)][-1]
    load = OpenLoop(MIX, steady(3.0), highest=3.0, dice=random.Random(2))
    fresh = Engine(LAW, LIMITS, load, dice=random.Random(3), begin=30.0)
    simulation.restart(0, [fresh], 30)
    after = next(frames)[0]
    name = "inferwatch_engine_generation_tokens_total"
    assert (value(after, name) or 0.0) < (value(before, name) or 0.0)
    start = value(after, "inferwatch_engine_start_time_seconds")
    assert start == simulation.start + 30.0
    assert [event.kind for event in after.events] == ["engine_restarted"]
    assert not next(frames)[0].events


def test_a_run_can_be_written_as_real_ones_were(tmp_path: Path):
    """A written run has the form of the captures: one page a second with time and code."""
    member = Member(engines=[engine(1)], disturbances=[Down(begin=8.0)])
    simulation = Simulation(members=[member], seconds=10)
    capture.write(simulation, tmp_path / "run.metrics.jsonl.gz")
    told: list[str] = []
    ticks = CaptureReader(tmp_path / "run.metrics.jsonl.gz", told.append).ticks()
    lines = [tick["/metrics"] for tick in ticks]
    assert [line.time - simulation.start for line in lines] == [float(n) for n in range(1, 11)]
    assert [line.code for line in lines] == [200] * 8 + [None] * 2
    assert b"vllm:num_requests_running{" in lines[0].body
    assert not told
