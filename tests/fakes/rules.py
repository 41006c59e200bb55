"""Rules from text, and a history of made-up numbers to evaluate them on."""

from collections.abc import Mapping, Sequence

from agent.alerts.engine import Outcome, RuleEngine
from agent.alerts.group import Site
from agent.alerts.load import compile_groups
from agent.alerts.rule import Group
from agent.config.rule_files import parse_rule_file
from agent.model import Frame, Metric, MetricType, SeriesTable
from agent.store.history import History
from agent.store.series import Labels, Matcher, MatchOp, is_stale
from tests.fakes.clock import ManualClock

START = 1_800_000_000.0


def groups_of(text: str, file: str = "rules.yml") -> list[Group]:
    """Return the groups of a rule file that has no problem."""
    raw, problems = parse_rule_file(text, file)
    groups, more = compile_groups(raw)
    assert [*problems, *more] == []
    return groups


def alert_group(rules: str) -> list[Group]:
    """Return a group of the rules in a YAML list."""
    return groups_of("groups: [{name: g, rules: [" + rules + "]}]")


class World:
    """A history and the rules on it; each call of `tick` is a second later.

    Series are given by their text, such as `x` or `x{a="1"}`; the metrics have no prefix, so
    that no label of a target is added.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        *,
        site: Site | None = None,
        start: float = START,
        stagger: bool = False,
    ) -> None:
        self.table = SeriesTable()
        self.history = History(self.table, clock=ManualClock(time=start))
        self.engine = RuleEngine(groups, table=self.table, tick=1.0, site=site, stagger=stagger)
        self.time = start - 1.0
        self._metrics: dict[tuple[str, ...], Metric] = {}

    def tick(self, samples: Mapping[str, float] | None = None, *, seconds: float = 1.0) -> Outcome:
        """Let time pass, hand over samples and evaluate."""
        self.time += seconds
        ids = [self._id(text) for text in samples or {}]
        values = [*(samples or {}).values()]
        self.history.append(Frame(self.time, self.table, ids, values))
        return self.engine.evaluate(self.time, self.history)

    def ticks(self, count: int, samples: Mapping[str, float]) -> list[Outcome]:
        """Do the same again and again."""
        return [self.tick(samples) for _number in range(count)]

    def _id(self, text: str) -> int:
        """Return the identifier of a series."""
        name, _, rest = text.removesuffix("}").partition("{")
        pairs = dict(pair.split("=", 1) for pair in rest.split(",")) if rest else {}
        key = (name, *pairs)
        metric = self._metrics.get(key)
        if metric is None:
            metric = self._metrics[key] = Metric(
                name=name, type=MetricType.GAUGE, help="Made up.", labels=tuple(pairs)
            )
        return self.table.intern(metric, [value.strip('"') for value in pairs.values()])

    def written(self, name: str) -> dict[Labels, list[tuple[float, float | None]]]:
        """Return seconds since the start and values of every series of a name, None for its end."""
        matchers = [Matcher("__name__", MatchOp.EQUAL, name)]
        return {
            tuple(pair for pair in series.labels if pair[0] != "__name__"): [
                (round(time - START, 3), None if is_stale(value) else value)
                for time, value in zip(series.times, series.values, strict=True)
            ]
            for series in self.history.select(matchers, START - 10.0, self.time)
        }

    def states(self) -> dict[str, str]:
        """Return the state of each active alert, by name and the values of its other labels."""
        return {
            " ".join([name, *(value for key, value in instance.labels if key != "alertname")]): (
                instance.state.value
            )
            for name, instance in self.engine.alerts()
        }
