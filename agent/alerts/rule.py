"""Rules that were understood and can be evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.alerts.template import Template
from agent.promql import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRule:
    """Writes the result of an expression under a name of its own.

    Attributes:
        name: of the series.
        query: the expression.
        labels: set on each series; an empty value takes the label away.
    """

    name: str
    query: Query
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """Each element of the result of its expression is an alert.

    Attributes:
        name: of the alert.
        query: the expression.
        hold: seconds for which it must hold before the alert fires.
        keep: seconds for which the alert goes on firing once it holds no more.
        labels: templates of labels to set.
        annotations: templates of what people are told.
    """

    name: str
    query: Query
    hold: float = 0.0
    keep: float = 0.0
    labels: Mapping[str, Template] = field(default_factory=dict)
    annotations: Mapping[str, Template] = field(default_factory=dict)


Rule = RecordingRule | AlertRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated one after another at one time, each seeing those before it.

    Attributes:
        name: unique within its file.
        file: where it stands.
        interval: seconds between two evaluations; 0 for every tick.
        limit: results that a rule may have, 0 for any number.
        rules: in their order.
    """

    name: str
    file: str
    interval: float
    limit: int
    rules: tuple[Rule, ...]

    @property
    def metric_names(self) -> frozenset[str]:
        """The metrics that its rules read."""
        return frozenset().union(*(rule.query.metric_names() for rule in self.rules))
