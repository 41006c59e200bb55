"""Alerts whose rule was removed: receivers hear of their end as of that of any other."""

from collections.abc import Collection, Iterator

from agent.alerts.group import Alerting, Transition
from agent.alerts.state import AlertStates, Instance
from agent.store.series import Labels

Key = tuple[str, str, int]
"""Group, alert and number among those of the same name, by which a rule is known again."""


class Removed:
    """Rules that are evaluated no more, until the end of their alerts was told for long enough."""

    def __init__(self) -> None:
        self._rules: dict[Key, Alerting] = {}

    def add(self, key: Key, rule: Alerting) -> None:
        """Take over a rule that was just removed."""
        if rule.states.instances:
            self._rules[key] = rule

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

    def rules(self) -> Iterator[Alerting]:
        """Yield the rules."""
        yield from self._rules.values()

    def instances(self) -> Iterator[Instance]:
        """Yield their alerts."""
        for rule in self._rules.values():
            yield from rule.states.instances.values()

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self._rules)
