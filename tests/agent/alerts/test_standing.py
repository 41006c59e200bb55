"""Results stand while nothing changes that they were made of."""

from agent.alerts.source import OneTick
from agent.alerts.standing import Standing
from agent.promql import Value, Vector, parse
from tests.fakes.rules import World, alert_group


class Asked:
    """A query on a history, asked at each tick."""

    def __init__(self, text: str) -> None:
        self._world = World([])
        self._standing = Standing(parse(text))

    def after(self, samples: dict[str, float], *, seconds: float = 1.0) -> Value:
        """Return the result after one more tick."""
        self._world.tick(samples, seconds=seconds)
        return self._standing.at(OneTick(self._world.history), self._world.time)


def _values(value: Value) -> list[float]:
    """Return the numbers of a vector."""
    assert isinstance(value, Vector)
    return value.values


def test_nothing_is_evaluated_while_nothing_changes():
    """The result is the same object until a series changes that it was made of."""
    asked = Asked("x > 1 and changes(y[3s]) == 0")
    still = {"x": 2.0, "y": 1.0}
    first = [asked.after(still) for _tick in range(3)][-1]
    assert _values(first) == [2.0]
    assert asked.after(still) is first
    assert asked.after({**still, "z": 5.0}) is first
    assert _values(asked.after({**still, "x": 3.0})) == [3.0]
    assert _values(asked.after({"x": 3.0, "y": 2.0})) == []


def test_what_was_not_looked_at_may_change():
    """Where one side has no result the other was not evaluated, and does not count."""
    asked = Asked("x > 1 and rate(y[3s]) > 0")
    first = asked.after({"x": 0.0, "y": 1.0})
    assert asked.after({"x": 0.0, "y": 2.0}) is first
    assert _values(asked.after({"x": 2.0, "y": 3.0})) == [2.0]


def test_time_passes_even_where_nothing_changes():
    """What is compared with the time is worked out each time."""
    asked = Asked("time() - x")
    before = _values(asked.after({"x": 5.0}))
    assert _values(asked.after({"x": 5.0})) == [before[0] + 1.0]


def test_a_mean_depends_on_how_many_samples_there_are():
    """The mean of three times 0.1 is not 0.1 to the last bit, as Prometheus has it."""
    asked = Asked("avg_over_time(x[9s]) == 0.1")
    assert [len(_values(asked.after({"x": 0.1}))) for _tick in range(4)] == [1, 1, 0, 1]
    whole = Asked("avg_over_time(x[9s])")
    results = [whole.after({"x": 3.0}) for _tick in range(4)]
    assert results[2] is results[3]


def test_a_range_needs_two_samples_still():
    """After a pause a rate has one sample in its window and no result."""
    asked = Asked("rate(x[3s]) == 0")
    results = [_values(asked.after({"x": 1.0})) for _tick in range(3)]
    assert results == [[], [0.0], [0.0]]
    assert _values(asked.after({"x": 1.0}, seconds=10.0)) == []
    assert _values(asked.after({"x": 1.0})) == [0.0]


def test_what_a_rule_writes_meanwhile_counts():
    """A series of the same name in another stream was not watched."""
    world = World([])
    standing = Standing(parse("x"))
    world.tick({"x": 1.0})
    world.tick({"x": 1.0})
    first = standing.at(OneTick(world.history), world.time)
    tick = OneTick(world.history)
    assert standing.at(tick, world.time) is first
    tick.write(world.time, {(("__name__", "x"), ("a", "1")): 2.0}, {"x"})
    assert sorted(_values(standing.at(tick, world.time))) == [1.0, 2.0]


def test_series_that_were_forgotten_are_made_again():
    """A slow group finds what it wrote forgotten; what stands is written all the same."""
    world = World(alert_group("{alert: High, expr: x > 0}"))
    world.ticks(2, {"x": 1.0})
    written = [i for i in world.table if world.table[i].metric.name.startswith("ALERTS")]
    assert written
    world.table.forget(written)
    assert not world.tick({"x": 1.0}).failures
    again = {i for i in world.table if world.table[i].metric.name.startswith("ALERTS")}
    assert len(again) == len(written)
    assert again.isdisjoint(written)


def test_alerts_that_go_on_are_written_at_each_tick():
    """Also those whose values move; and since when they hold, after the clock went back, too."""
    world = World(alert_group("{alert: High, expr: x > 0, for: 3s}"))
    for number in range(6):
        world.tick({"x": 1.0 + number})
    (firing,) = (
        s for labels, s in world.written("ALERTS").items() if ("alertstate", "firing") in labels
    )
    assert firing == [(3.0, 1.0), (4.0, 1.0), (5.0, 1.0)]
    (instance,) = (one for _name, one in world.engine.alerts())
    assert instance.value == 6.0
    world.tick({"x": 1.0}, seconds=-6.0)
    (since,) = world.written("ALERTS_FOR_STATE").values()
    assert since[-1] == (-1.0, world.time)
