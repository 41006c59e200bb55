"""Rules that were understood and can be evaluated."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.alerts.template import Template
from agent.catalog import engine
from agent.promql import Query

ENGINE_INFO: Final = engine.INFO.name
"""The series that say which model an instance serves."""


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
class Severity:
    """A severity, and for which alerts of a rule it is.

    Attributes:
        severity: value of the label.
        model_name: the model that they are about, None for any.
        instance_name: the instance that they are about, None for any.
    """

    severity: str
    model_name: str | None = None
    instance_name: str | None = None

    def matches(self, labels: Mapping[str, str], models: Collection[str]) -> bool:
        """Return whether it is for an alert with some labels, about one of these models."""
        if self.instance_name not in (None, labels.get("instance_name")):
            return False
        return self.model_name is None or self.model_name in models


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
        severities: other severities for some of its alerts; the last that matches counts.
    """

    name: str
    query: Query
    hold: float = 0.0
    keep: float = 0.0
    labels: Mapping[str, Template] = field(default_factory=dict)
    annotations: Mapping[str, Template] = field(default_factory=dict)
    severities: tuple[Severity, ...] = ()


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
        read = frozenset[str]().union(*(rule.query.metric_names() for rule in self.rules))
        by_model = any(
            isinstance(rule, AlertRule) and any(one.model_name for one in rule.severities)
            for rule in self.rules
        )
        return read | {ENGINE_INFO} if by_model else read
