"""Whose columns are whose."""

import pytest

from agent.analysis import replicas
from agent.analysis.replicas import Replicas
from agent.analysis.window import Window
from agent.catalog import engine, gpu, host
from agent.model import Frame, Metric, SeriesTable
from tests.agent.analysis.views import START, view_of


@pytest.mark.parametrize("odd", ["", "NaN", "soon", "0.5s"])
def test_a_bucket_without_a_bound_is_left_out(odd: str) -> None:
    """One engine may write anything; its other buckets, and other engines, still count."""
    view = view_of(
        {
            (engine.TIME_TO_FIRST_TOKEN, "_bucket", "0.5"): [1.0, 2.0],
            (engine.TIME_TO_FIRST_TOKEN, "_bucket", odd): [1.0, 2.0],
            (engine.TIME_TO_FIRST_TOKEN, "_bucket", "+Inf"): [1.0, 3.0],
        }
    )
    found = view.histogram(engine.TIME_TO_FIRST_TOKEN)
    assert found is not None
    assert found.bounds.tolist() == [0.5, float("inf")]


GPUS = [(str(number), f"GPU-{number}", "") for number in range(4)]


def _many(table: SeriesTable, engines: int) -> Frame:
    """Return a frame of engines of two ranks each, of some GPUs, and of the host."""
    ids = [table.intern(host.CPUS), *(table.intern(gpu.UTILIZATION, one) for one in GPUS)]
    for number in range(engines):
        instance = ("vllm", f"engine-{number}")
        ids.append(table.intern(engine.START_TIME, instance))
        for rank in ("0", "1"):
            one = (*instance, "m", rank)
            ids += [table.intern(engine.REQUESTS_RUNNING, one)]
            ids += [
                table.intern(engine.TIME_TO_FIRST_TOKEN, one, suffix="_bucket", le=le)
                for le in ("+Inf", "0.5")
            ]
    return Frame(START, table, ids, [float(number) for number, _id in enumerate(ids)])


def test_every_replica_sees_what_is_its_own() -> None:
    """Its columns, those of its instance and of the host, and its GPUs in the order of columns."""
    table, wanted = SeriesTable(), {engine.REQUESTS_RUNNING, engine.START_TIME, host.CPUS}
    window = Window({*wanted, engine.TIME_TO_FIRST_TOKEN, gpu.UTILIZATION})
    frame = _many(table, 3)
    window.append(frame)
    known = dict(zip(frame.ids, frame.values, strict=True))
    placed = {"engine-0": (GPUS[2], GPUS[1]), "engine-1": (GPUS[3],)}
    views = Replicas(window, lambda _engine, name, _rank: placed.get(name, ())).views(table)
    assert len(views) == 6
    for replica, view in views.items():
        assert view[host.CPUS][0] == 0.0
        for metric, labels in (
            (engine.START_TIME, replica[:2]),
            (engine.REQUESTS_RUNNING, replica),
        ):
            assert view[metric][0] == known[table.intern(metric, labels)]
        histogram = view.histogram(engine.TIME_TO_FIRST_TOKEN)
        assert histogram is not None
        assert histogram.bounds.tolist() == [0.5, float("inf")]
        own = [1.0 + int(one[0]) for one in sorted(placed.get(replica.instance_name, ()))]
        assert view.gpu(gpu.UTILIZATION)[0].tolist() == own


def test_columns_are_not_looked_at_for_each_engine_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty engines take ten times what three take, not a hundred times."""
    count, depth = 0, replicas._depth

    def counted(metric: Metric) -> int:
        nonlocal count
        count += 1
        return depth(metric)

    monkeypatch.setattr(replicas, "_depth", counted)
    looks: list[int] = []
    for engines in (3, 30):
        table, count = SeriesTable(), 0
        window = Window({engine.REQUESTS_RUNNING, engine.START_TIME, engine.TIME_TO_FIRST_TOKEN})
        window.append(_many(table, engines))
        assert len(Replicas(window).views(table)) == 2 * engines
        looks.append(count)
    assert 0 < looks[1] <= 11 * looks[0]
