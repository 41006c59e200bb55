"""Memory forecasts over frames: which series they follow, and what they leave alone."""

from collections.abc import Callable, Mapping

from agent.analysis.forecasts.memory import START as STARTING
from agent.analysis.forecasts.memory import MemoryForecasts
from agent.catalog import gpu, host, process
from agent.model import Frame, Metric, SeriesTable
from tests.fakes.samples import samples

START = 1_800_000_000.0
GPU = ("0", "GPU-a", "")
ENGINE = ("vllm", "chat")
Values = Mapping[tuple[Metric, tuple[str, ...]], float]


def last(
    values: Callable[[float], Values], seconds: float, *, step: float = 5.0
) -> dict[str, float]:
    """Return what is foreseen at the end of so many seconds of these values."""
    table = SeriesTable()
    forecasts = MemoryForecasts()
    ids: list[int] = []
    found: dict[str, float] = {}
    time = 0.0
    while time <= seconds:
        now = values(time)
        fresh = [table.intern(metric, labels) for metric, labels in now]
        ids = ids if ids == fresh else fresh
        found = samples(table, forecasts.observe(Frame(START + time, table, ids, [*now.values()])))
        time += step
    return found


def test_host_memory():
    """Available memory that goes away steadily is foreseen with its three bounds."""

    def values(time: float) -> Values:
        return {(host.MEMORY_TOTAL, ()): 100e9, (host.MEMORY_AVAILABLE, ()): 40e9 - 20e6 * time}

    found = last(values, 600.0)
    name = "host_memory_exhaustion_forecast_seconds"
    low, estimate, high = (
        found[f'{name}{{bound="{bound}"}}'] for bound in ("low", "estimate", "high")
    )
    assert low < 1400.0 < high
    assert abs(estimate - 1400.0) < 70.0


def test_cgroup_counts_what_can_be_had_back():
    """A cgroup full of pages of files is not full; one whose own memory grows is foreseen."""

    def values(own: float, pages: float) -> Callable[[float], Values]:
        return lambda time: {
            (process.CGROUP_MEMORY_LIMIT, ENGINE): 100e9,
            (process.CGROUP_MEMORY_USED, ENGINE): 20e9 + (own + pages) * time,
            (process.CGROUP_MEMORY_RECLAIMABLE, ENGINE): pages * time,
        }

    assert not last(values(0.0, 100e6), 600.0)
    found = last(values(40e6, 10e6), 600.0)
    labels = 'engine="vllm",instance_name="chat",bound="estimate"'
    estimate = found[f"engine_cgroup_memory_exhaustion_forecast_seconds{{{labels}}}"]
    assert abs(estimate - 1400.0) < 100.0


def test_gpu_begins_anew_with_a_process():
    """What a new process takes while it starts is no leak; what goes on for long after it is."""

    def values(time: float) -> Values:
        begun = max(0.0, time - 300.0)
        loading = min(begun, STARTING - 20.0) * 100e6
        leak = max(0.0, begun - 600.0) * 20e6
        found = {
            (gpu.MEMORY_TOTAL, GPU): 80e9,
            (gpu.MEMORY_FREE, GPU): 70e9 - loading - leak,
            (gpu.PROCESS_MEMORY, (*GPU, "1", "python")): 1e9,
        }
        if begun:
            found[gpu.PROCESS_MEMORY, (*GPU, "2", "llama-server")] = 1e9
        return found

    for time in (450.0, 600.0, 900.0):
        assert not last(values, time)
    assert len(last(values, 1500.0)) == 3


def test_without_a_total_nothing_is_said():
    """A level whose whole is unknown is left alone."""
    assert not last(lambda time: {(host.MEMORY_AVAILABLE, ()): 40e9 - 50e6 * time}, 600.0)


def test_json_names_what_it_is_about():
    """JSON has the labels and the seconds of each forecast."""
    table = SeriesTable()
    forecasts = MemoryForecasts()
    keys = [table.intern(host.MEMORY_TOTAL), table.intern(host.MEMORY_AVAILABLE)]
    for time in range(0, 600, 5):
        forecasts.observe(Frame(START + time, table, keys, [100e9, 40e9 - 20e6 * time]))
    (shown,) = forecasts.as_json()
    assert shown["metric"] == "inferwatch_host_memory_exhaustion_forecast_seconds"
    assert shown["low_seconds"] < shown["estimate_seconds"]
