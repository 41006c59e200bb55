"""What follows from pages: tokens of KV cache, and requests that clients gave up."""

import gzip
import json
from pathlib import Path

import pytest

from agent.catalog import engine as catalog
from agent.model import SeriesTable
from collectors.engines import ENGINES
from collectors.engines.derived import Derived, slot_use
from collectors.engines.mapping import PageMap
from tests.fakes.engine_server import capture, changed

SHARED = Path(__file__).parents[3].parent / "shared" / "captures"
VLLM = ENGINES["vllm"]


class Engine:
    """Reads pages of one vLLM and derives."""

    def __init__(self) -> None:
        self.table = SeriesTable()
        self.map = PageMap(VLLM, "a", self.table)
        self.derived = Derived(VLLM, "a", self.table)

    def look(self, page: bytes) -> dict[tuple[str, str], float]:
        """Return derived values by name and rank."""
        read = self.map.read(page)
        self.derived.prepare(read.plan)
        return {
            (
                self.table[number].metric.name.removeprefix("inferwatch_engine_"),
                self.table[number].labels[3],
            ): value
            for number, value in self.derived.samples(read.values)
        }

    def abandoned(self, page: bytes) -> float:
        """Return the requests given up at rank 0."""
        return self.look(page)["requests_abandoned_total", "0"]


PAGE = capture("vllm-06-after-load.prom")


def counts(started: int, finished: int, running: int = 0, waiting: int = 0) -> bytes:
    """Return a page with these counts of requests."""
    return changed(
        PAGE,
        time_to_first_token_seconds_count=started,
        e2e_request_latency_seconds_count=finished,
        num_requests_running=running,
        num_requests_waiting=waiting,
    )


def test_one_block_is_never_given_to_a_request() -> None:
    """96 blocks of 32 hold 3,040 tokens; 71 of the 95 are in use at the captured instant."""
    found = Engine().look(capture("vllm-04-saturated.prom"))
    assert found["kv_cache_capacity_tokens", "0"] == 95 * 32
    assert found["kv_cache_used_tokens", "0"] == pytest.approx(71 * 32)


def test_each_rank_has_the_tokens_of_one_rank() -> None:
    """With two ranks vLLM writes the blocks of both at each: 256 for twice 128."""
    page = capture("vllm-08-dp2.prom")
    for text in (
        page,
        page.replace(b'kv_cache_size_tokens="4096"', b'kv_cache_size_tokens="None"'),
    ):
        found = Engine().look(text)
        assert found["kv_cache_capacity_tokens", "0"] == 127 * 32
        assert found["kv_cache_capacity_tokens", "1"] == 127 * 32


def test_a_cache_of_unknown_size_has_no_tokens() -> None:
    """Before the engine has sized its cache it writes `None`; that is not zero."""
    page = capture("vllm-04-saturated.prom")
    page = page.replace(b'num_gpu_blocks="96"', b'num_gpu_blocks="None"')
    found = Engine().look(
        page.replace(b'kv_cache_size_tokens="3072"', b'kv_cache_size_tokens="None"')
    )
    assert ("kv_cache_capacity_tokens", "0") not in found
    assert ("kv_cache_used_tokens", "0") not in found


def test_requests_given_up_in_a_real_run_are_counted() -> None:
    """Of 57 requests 34 were cut off by the client; the engine is idle at the end."""
    path = SHARED / "vllm-aborts.metrics.jsonl.gz"
    if not path.exists():
        pytest.skip("the full captures are not here")
    engine = Engine()
    with gzip.open(path, "rt") as lines:
        seen = [engine.abandoned(json.loads(line)["body"].encode()) for line in lines]
    assert seen[0] == 0
    assert seen[-1] == 34
    assert seen == sorted(seen)


def test_requests_that_run_or_wait_are_not_given_up() -> None:
    """A request with a first token is in the engine until it is in the latency, or gone."""
    engine = Engine()
    assert engine.abandoned(counts(10, 4, running=5, waiting=1)) == 0
    assert engine.abandoned(counts(10, 4, running=4, waiting=1)) == 0
    assert engine.abandoned(counts(10, 4, running=4, waiting=1)) == 1


def test_the_count_never_falls() -> None:
    """Requests that wait for their first token hide some that were given up, for a while."""
    engine = Engine()
    engine.abandoned(counts(10, 4))
    assert engine.abandoned(counts(10, 4)) == 6
    assert engine.abandoned(counts(10, 4, waiting=20)) == 6


def test_one_look_that_does_not_fit_together_counts_nothing() -> None:
    """Counts of several server processes may differ by a moment; two looks must agree."""
    engine = Engine()
    engine.abandoned(counts(10, 8, running=2))
    assert engine.abandoned(counts(11, 8, running=2)) == 0
    assert engine.abandoned(counts(11, 8, running=3)) == 0


def test_the_count_goes_on_after_a_restart() -> None:
    """What was counted before stays, whether the restart was announced or is seen by the fall."""
    engine = Engine()
    engine.abandoned(counts(10, 4))
    assert engine.abandoned(counts(10, 4)) == 6
    assert engine.abandoned(counts(0, 0)) == 6
    engine.abandoned(counts(3, 1))
    assert engine.abandoned(counts(3, 1)) == 8
    engine.derived.restarted()
    engine.abandoned(counts(20, 19))
    assert engine.abandoned(counts(20, 19)) == 9


def test_what_the_engine_counts_itself_is_added() -> None:
    """A release that counts aborted requests as finished would have them in the latency too."""
    page = counts(10, 10).replace(
        b'finished_reason="abort",model_name="tiny"} 0.0',
        b'finished_reason="abort",model_name="tiny"} 3.0',
    )
    assert Engine().abandoned(page) == 3


def test_an_engine_without_histograms_has_no_such_count() -> None:
    """llama.cpp does not say when requests begin to answer, so nothing can be inferred."""
    table = SeriesTable()
    read = PageMap(ENGINES["llamacpp"], "a", table).read(capture("llama-02-loaded.prom"))
    derived = Derived(ENGINES["llamacpp"], "a", table)
    derived.prepare(read.plan)
    found = {table[number].metric for number, _ in derived.samples(read.values)}
    assert catalog.REQUESTS_ABANDONED not in found


def test_slots_say_the_use_of_the_kv_cache() -> None:
    """Busy slots hold what they say; idle ones hold only what may be thrown away."""
    slots = ENGINES["llamacpp"].slots
    assert slots is not None
    loaded = json.loads(capture("llama-02-loaded-slots.json"))
    held = sum(slot["n_prompt_tokens"] for slot in loaded)
    assert slot_use(loaded, slots, unified=False) == (held, 4096)
    assert slot_use(loaded, slots, unified=True) == (held, 1024)
    loaded[0]["is_processing"] = False
    assert slot_use(loaded, slots, unified=False) == (held - loaded[0]["n_prompt_tokens"], 4096)
    idle = json.loads(capture("llama-01-idle-slots.json"))
    assert slot_use(idle, slots, unified=False) == (0, 4096)


@pytest.mark.parametrize(
    "document",
    [None, {}, [], [1], [{"id": 0}], [{"n_ctx": "x"}], [{"n_ctx": 5, "is_processing": True}]],
)
def test_slots_of_another_shape_say_nothing(document: object) -> None:
    """Unknown is absent: a release with other keys gives no KV use."""
    slots = ENGINES["llamacpp"].slots
    assert slots is not None
    assert slot_use(document, slots, unified=False) is None
