"""The KV cache of a replica in bytes, and by how much it fills each second."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.kv_flow import KvFlow, KvFlows, as_json, samples
from agent.analysis.replicas import Replicas
from agent.analysis.window import Window
from agent.catalog import engine
from agent.catalog import placement as catalog
from agent.model import EMPTY_READING, Frame, Metric, SeriesTable
from agent.pipeline import Pipeline
from agent.recording import RecordingReader
from agent.replay import play

REPLICA = ("vllm", "chat", "m", "0")
WANTED = (
    engine.REQUESTS_RUNNING,
    engine.KV_CACHE_USED,
    engine.KV_CACHE_CAPACITY,
    engine.PROMPT_TOKENS,
    engine.GENERATION_TOKENS,
    engine.REQUEST_PROMPT_TOKENS,
    engine.REQUEST_GENERATION_TOKENS,
    catalog.KV_CACHE_TOKEN_SIZE,
)
RECORDINGS = Path(__file__).parents[2] / "recordings"


class Engine:
    """A replica whose numbers are written by hand, second by second."""

    def __init__(self) -> None:
        self.table = SeriesTable()
        self.window = Window(WANTED)
        self.replicas = Replicas(self.window)
        self.flows = KvFlows()
        self.time = 1000.0

    def tick(self, *, reserved: float | None = None, **values: float) -> KvFlow:
        """Return the flow after one second with these values, by the names of their metrics."""
        self.time += 1.0
        found = {self.table.intern(engine.REQUESTS_RUNNING, REPLICA): 1.0}
        for name, value in values.items():
            metric, suffix = NAMES[name]
            labels = REPLICA[: len(metric.labels)]
            found[self.table.intern(metric, labels, suffix=suffix)] = value
        self.window.append(Frame(self.time, self.table, list(found), list(found.values())))
        (view,) = self.replicas.views(self.table).values()
        return self.flows.observe(view, reserved=reserved)


NAMES: dict[str, tuple[Metric, str]] = {
    "used": (engine.KV_CACHE_USED, ""),
    "capacity": (engine.KV_CACHE_CAPACITY, ""),
    "size": (catalog.KV_CACHE_TOKEN_SIZE, ""),
    "prompt": (engine.PROMPT_TOKENS, ""),
    "generated": (engine.GENERATION_TOKENS, ""),
    "prompt_done": (engine.REQUEST_PROMPT_TOKENS, "_sum"),
    "generated_done": (engine.REQUEST_GENERATION_TOKENS, "_sum"),
}


def _inflow(used: Sequence[float]) -> float | None:
    """Return the inflow at the end of a series of seconds."""
    replica = Engine()
    flow = KvFlow()
    for value in used:
        flow = replica.tick(used=value, generated=replica.time)
    return flow.inflow


def test_bytes():
    """Bytes are tokens times the bytes of one."""
    flow = Engine().tick(used=100, capacity=1000, size=2**17)
    assert flow.used_bytes == 100 * 2**17
    assert flow.capacity_bytes == 1000 * 2**17


def test_bytes_of_a_reservation():
    """Where nothing says what a token takes, the reservation that was seen does."""
    flow = Engine().tick(used=100, capacity=1000, reserved=5000.0)
    assert flow.used_bytes == 500
    flow = Engine().tick(used=100, capacity=1000, size=7, reserved=5000.0)
    assert flow.used_bytes == 700


def test_unknown_bytes():
    """Without the size of a token there are tokens and no bytes."""
    flow = Engine().tick(used=100, capacity=1000)
    assert flow.used_tokens == 100
    assert flow.used_bytes is None
    assert list(samples(flow, REPLICA)) == []


@given(st.floats(-500, 500), st.floats(1e4, 1e6))
def test_steady_inflow(rate: float, first: float):
    """A cache that fills or empties evenly does so at that rate."""
    assert _inflow([first + rate * second for second in range(15)]) == pytest.approx(rate, abs=1e-6)


def test_one_disturbed_second():
    """A single odd second, also the last one, does not change the sign of the inflow."""
    used = [1000.0 + 10 * second for second in range(15)]
    for odd in (5, 12, 14):
        disturbed = [*used[:odd], 0.0, *used[odd + 1 :]]
        inflow = _inflow(disturbed)
        assert inflow is not None
        assert 0 < inflow < 20


def test_sawtooth_has_no_inflow():
    """A cache that fills slowly and empties at once stays level on the whole."""
    tooth = [1000.0 + 100 * (second % 4) for second in range(40)]
    flows = [_inflow(tooth[:end]) for end in range(12, 40)]
    known = [flow for flow in flows if flow is not None]
    assert abs(sum(known) / len(known)) < 10  # while it fills at 100 a second
    assert max(map(abs, known)) < 30


def test_too_short():
    """A few seconds say nothing of an inflow."""
    assert _inflow([100, 200, 300, 400, 500]) is None


def test_restart():
    """What was before a restart does not count: the cache began empty."""
    replica = Engine()
    flow = KvFlow()
    for second in range(12):
        flow = replica.tick(used=5000, generated=1e6 + second, prompt=1e6)
    for second in range(8):
        flow = replica.tick(used=100.0 * second, generated=10.0 * second, prompt=0)
        if second == 0:
            assert flow.inflow is None
    assert flow.inflow == pytest.approx(100)
    assert flow.decoded == pytest.approx(10)


def test_balance():
    """Tokens that come in and those of requests that finished are counted each second."""
    replica = Engine()
    flow = KvFlow()
    for second in range(15):
        flow = replica.tick(
            used=1000,
            prompt=40.0 * second,
            generated=20.0 * second,
            prompt_done=35.0 * second,
            generated_done=25.0 * second,
        )
    assert (flow.admitted, flow.decoded, flow.released) == pytest.approx((40, 20, 60))
    assert flow.inflow == 0
    assert flow.seconds == 10


def test_page_that_is_late():
    """Where the newest second has no value, nothing is said about it."""
    replica = Engine()
    flow = KvFlow()
    for second in range(12):
        flow = replica.tick(used=100.0 * second, generated=second)
    flow = replica.tick(generated=12.0)
    assert flow.inflow is None
    assert flow.used_tokens is None


def test_json():
    """Everything can be written as JSON; what is unknown is null."""
    shown = json.loads(json.dumps(as_json(Engine().tick(used=100, capacity=1000))))
    assert shown["used_tokens"] == 100
    assert shown["inflow_tokens_per_second"] is None


def test_samples():
    """The samples carry the labels of the replica."""
    replica = Engine()
    flow = KvFlow()
    for second in range(12):
        flow = replica.tick(used=10.0 * second, capacity=1000, size=2, generated=second)
    assert {metric: value for metric, _labels, value in samples(flow, REPLICA)} == {
        catalog.KV_CACHE_CAPACITY_BYTES: 2000,
        catalog.KV_CACHE_USED_BYTES: 220,
        catalog.KV_CACHE_INFLOW: pytest.approx(10),
    }
    assert {labels for _metric, labels, _value in samples(flow, REPLICA)} == {REPLICA}


def test_recorded_ramp():
    """On a real engine the inflow adds up to what the cache holds more in the end.

    Although the gauge swings between half and full while the cache binds, no inflow is larger than
    the whole cache in the seven seconds that are between the ends of the span at least.
    """
    table = SeriesTable()
    window = Window(WANTED)
    replicas = Replicas(window)
    flows = KvFlows()
    found: list[tuple[float, float]] = []
    reader = RecordingReader(RECORDINGS / "vllm-ramp.rec.gz", table)
    pipeline = Pipeline(table)
    for tick in reader.ticks():
        window.append(play(pipeline, tick, EMPTY_READING))
        for view in replicas.views(table).values():
            flow = flows.observe(view)
            if flow.inflow is not None and flow.used_tokens is not None:
                found.append((flow.used_tokens, flow.inflow))
    assert len(found) > 60
    total = sum(inflow for _used, inflow in found)
    assert abs(total - (found[-1][0] - found[0][0])) < 0.5 * 3072
    assert max(abs(inflow) for _used, inflow in found) <= 3072 / 7
