"""What shifted together with a latency."""

import random
from collections.abc import Sequence

import pytest

from agent.analysis.shifts import find_shift
from agent.catalog import engine, gpu, host
from tests.agent.analysis.views import START, latency_columns, view_of

BOUNDS = ("0.01", "0.025", "0.05", "0.075", "0.1", "0.15", "0.2", "+Inf")
SECONDS = 300
CHANGE = 240


def gaps(before: float, after: float, seed: int = 1) -> list[list[float]]:
    """Return ten inter-token latencies a second around a mean that changes."""
    dice = random.Random(seed)
    return [
        [(after if second >= CHANGE else before) * dice.uniform(0.97, 1.03) for _ in range(10)]
        for second in range(SECONDS)
    ]


def noisy(before: float, after: float, *, at: int = CHANGE, seed: int = 2) -> Sequence[float]:
    """Return a gauge around a mean that changes."""
    dice = random.Random(seed)
    return [
        (after if second >= at else before) * dice.uniform(0.9, 1.1) for second in range(SECONDS)
    ]


def columns(before: float = 0.03, after: float = 0.06):
    """Return the columns of inter-token latency."""
    return latency_columns(engine.INTER_TOKEN_LATENCY, gaps(before, after), BOUNDS)


def test_the_companion_is_named_with_its_numbers() -> None:
    """The batch doubled when the latency did; the KV use did not move."""
    view = view_of(
        {
            **columns(),
            (engine.REQUESTS_RUNNING, ""): noisy(16, 32),
            (engine.KV_CACHE_USAGE, ""): noisy(0.5, 0.5, seed=3),
        }
    )
    shift = find_shift(view, "inter_token_latency")
    assert shift is not None
    assert [one.name for one in shift.companions] == ["batch"]
    assert shift.companions[0].before == pytest.approx(16, rel=0.1)
    assert shift.companions[0].after == pytest.approx(32, rel=0.1)
    assert shift.after == pytest.approx(0.06, rel=0.1)
    assert shift.began - START == pytest.approx(CHANGE, abs=10)
    assert "batch (16" in shift.sentence()


def test_no_companion_is_claimed_where_nothing_moved() -> None:
    """The latency shifts alone."""
    view = view_of({**columns(), (engine.REQUESTS_RUNNING, ""): noisy(16, 16)})
    shift = find_shift(view, "inter_token_latency")
    assert shift is not None
    assert shift.companions == ()
    assert "nothing else" in shift.sentence()


def test_a_steady_latency_is_no_shift() -> None:
    """Whatever else moves."""
    view = view_of({**columns(0.03, 0.03), (engine.REQUESTS_RUNNING, ""): noisy(8, 64)})
    assert find_shift(view, "inter_token_latency") is None


def test_what_moved_only_afterwards_stands_behind() -> None:
    """A queue that follows from slow steps is not put before the clock that made them slow."""
    pressure = [float(max(0, second - CHANGE)) * 0.5 for second in range(SECONDS)]
    view = view_of(
        {
            **columns(),
            (engine.REQUESTS_WAITING, ""): noisy(0.1, 40, at=CHANGE + 30),
            (engine.REQUESTS_RUNNING, ""): noisy(16, 32),
        },
        host={(host.PRESSURE_SECONDS, ("cpu", "some")): pressure},
    )
    shift = find_shift(view, "inter_token_latency")
    assert shift is not None
    names = [one.name for one in shift.companions]
    assert set(names) == {"batch", "waiting requests", "CPU pressure of the host"}
    assert names[-1] == "waiting requests"


def starts(begun: int, late: int) -> list[list[float]]:
    """Return times to first token after a queue began: those who waited tell of it when served."""
    quick = [[0.2] * 3 for _second in range(late)]
    return quick + [[float(second - begun)] * 3 for second in range(late, SECONDS)]


def test_a_queue_is_named_though_its_first_tokens_come_late() -> None:
    """Who has waited two minutes tells what was so two minutes ago, not what is new now."""
    begun = 130
    bounds = ("0.1", "0.25", "0.5", "1", "5", "20", "80", "160", "640", "+Inf")
    view = view_of(
        {
            **latency_columns(engine.TIME_TO_FIRST_TOKEN, starts(begun, 250), bounds),
            (engine.REQUESTS_WAITING, ""): noisy(0.0, 60, at=begun),
            (engine.KV_CACHE_USAGE, ""): noisy(0.2, 0.95, at=begun, seed=3),
            (engine.REQUESTS_RUNNING, ""): noisy(16, 16, seed=4),
        }
    )
    shift = find_shift(view, "time_to_first_token")
    assert shift is not None
    assert {one.name for one in shift.companions} == {"waiting requests", "KV use"}
    assert all(one.lead == pytest.approx(120, abs=20) for one in shift.companions)


def test_what_moved_long_before_a_latency_is_no_companion() -> None:
    """A latency of tokens tells of now: what changed two minutes ago is behind nothing."""
    view = view_of({**columns(), (engine.REQUESTS_RUNNING, ""): noisy(16, 32, at=CHANGE - 130)})
    shift = find_shift(view, "inter_token_latency")
    assert shift is not None
    assert shift.companions == ()


def test_a_restart_with_other_flags_is_named() -> None:
    """An engine that was started again with another limit, and with nothing else that changed."""
    limits = [256.0 if second < CHANGE else 64.0 for second in range(SECONDS)]
    begun = [START - 7200 if second < CHANGE else START + CHANGE for second in range(SECONDS)]
    instance = ("vllm", "chat")
    view = view_of(
        columns(),
        host={(engine.MAX_NUM_SEQS, instance): limits, (engine.START_TIME, instance): begun},
    )
    shift = find_shift(view, "inter_token_latency")
    assert shift is not None
    named = {one.name: (one.before, one.after) for one in shift.companions}
    assert named == {"max-num-seqs": (256.0, 64.0), "engine start": (0.0, 7200.0 + CHANGE)}


def test_a_tenant_is_named_though_the_gpu_was_full_before() -> None:
    """Where an engine holds nine tenths of a GPU, what others take shows in what is left."""
    total = 80e9
    used = [72e9 if second < CHANGE else 76e9 for second in range(SECONDS)]
    card = ("0", "GPU-0", "")
    view = view_of(
        columns(),
        host={
            (gpu.MEMORY_USED, card): used,
            (gpu.MEMORY_FREE, card): [total - one for one in used],
        },
        gpus=(card,),
    )
    shift = find_shift(view, "inter_token_latency")
    assert shift is not None
    assert [(one.name, one.before, one.after) for one in shift.companions] == [
        ("free device memory", 8e9, 4e9)
    ]


def test_few_observations_make_no_percentile() -> None:
    """A quiet engine has no shift."""
    quiet = latency_columns(
        engine.INTER_TOKEN_LATENCY,
        [[0.03] if second % 60 == 0 else [] for second in range(SECONDS)],
        BOUNDS,
    )
    assert find_shift(view_of(quiet), "inter_token_latency") is None


def test_an_engine_without_the_histogram_has_no_shift() -> None:
    """Unknown is not a shift."""
    assert (
        find_shift(view_of({(engine.KV_CACHE_USAGE, ""): [0.5] * 50}), "time_to_first_token")
        is None
    )
