"""Alerts whose rule was removed: receivers hear of their end as of that of any other."""

from collections.abc import Collection, Iterator
from typing import Final

from agent.alerts.group import Alerting, Site, Transition
from agent.alerts.rule import AlertRule
from agent.alerts.state import AlertStates, Instance
from agent.alerts.template import parse_template
from agent.promql import parse
from agent.store.series import Labels

Key = tuple[str, str, int]
"""Group, alert and number among those of the same name, by which a rule is known again."""


# Of a rule that was removed while the agent was down nothing is known but its alerts.
_NOTHING: Final = parse("vector(0)")
_ANNOTATIONS: Final = {
    "summary": parse_template("The rule of this alert was removed while the agent did not run")
}


class Removed:
    """Rules that are evaluated no more, until the end of their alerts was told for long enough."""

    def __init__(self) -> None:
        self._rules: dict[Key, Alerting] = {}

    def add(self, key: Key, rule: Alerting) -> None:
        """Take over a rule that was just removed."""
        if rule.states.instances:
            self._rules[key] = rule

    def missed(self, group: str, name: str, site: Site) -> AlertStates:
        """Return what is to be filled with the alerts of a rule that was removed unseen.

        Args:
            group: in which it was.
            name: of its alerts.
            site: see there.
        """
        key = (group, name, 0)
        if key not in self._rules:
            rule = AlertRule(name=name, query=_NOTHING, annotations=_ANNOTATIONS)
            self._rules[key] = Alerting(rule, site)
        return self._rules[key].states

    def pop(self, key: Key) -> AlertStates | None:
        """Return the alerts of a rule that is there again."""
        rule = self._rules.pop(key, None)
        return None if rule is None else rule.states

    def resolve(self, time: float, known: Collection[Labels]) -> list[Transition]:
        """End what still fires, and forget what was told for long enough.

        Args:
            time: Unix seconds.
            known: alerts of other rules that receivers have heard of; the end of one with the
                same labels would be taken for theirs.
        """
        transitions: list[Transition] = []
        for key, rule in [*self._rules.items()]:
            states = rule.states
            for labels in [labels for labels in states.instances if labels in known]:
                del states.instances[labels]
            transitions += [
                Transition(rule.rule, instance, before) for instance, before in states.retire(time)
            ]
            if not states.instances:
                del self._rules[key]
        return transitions

    def keyed(self) -> Iterator[tuple[Key, Alerting]]:
        """Yield the rules with their keys."""
        yield from self._rules.items()

    def instances(self) -> Iterator[Instance]:
        """Yield their alerts."""
        for rule in self._rules.values():
            yield from rule.states.instances.values()

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self._rules)
