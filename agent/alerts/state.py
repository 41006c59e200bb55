"""From what holds at this moment to alerts that wait, fire and are resolved.

        holds            has held for `for`             does not hold
    ──────────► pending ────────────────────► firing ───────────────────► resolved ──► forgotten
                   │ does not hold                    (for longer than                 (15 min
                   └──────────► forgotten              `keep_firing_for`)               later)

The rules are those of Prometheus (rules/alerting.go): a resolved alert is remembered so that its
end can be told again to a receiver that missed it, and one that holds anew begins anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from agent.alerts.rule import AlertRule
from agent.store.series import Labels

RESOLVED_RETENTION: Final = 900.0
"""Seconds for which a resolved alert is told again and again."""


class State(StrEnum):
    """What is to be said of an alert; the words are those of `ALERTS{alertstate}`."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(slots=True, kw_only=True)
class Instance:
    """One alert of one rule, told apart by its labels. All times are Unix seconds.

    Attributes:
        labels: its identity, sorted, `alertname` included.
        element: the labels of the element of the result, for templates.
        value: of that element, when it was last there.
        active_at: since when the expression holds.
        state: where it is now.
        fired_at: when it began to fire.
        resolved_at: when it ended.
        kept_since: since when it fires only because of `keep_firing_for`.
        sent_at: when the receivers were told last.
        returning: it was restored, and the expression has not held since.
    """

    labels: Labels
    element: Labels
    value: float
    active_at: float
    state: State = State.PENDING
    fired_at: float | None = None
    resolved_at: float | None = None
    kept_since: float | None = None
    sent_at: float | None = None
    returning: bool = False

    def due(self, time: float, resend: float) -> bool:
        """Return whether the receivers are to be told now."""
        if self.state is State.PENDING:
            return False
        if self.sent_at is None:
            return True
        if self.resolved_at is not None and self.resolved_at > self.sent_at:
            return True
        return time - self.sent_at >= resend

    def set_back(self, time: float) -> None:
        """Take note that the clock went back: nothing has happened later than now."""
        self.active_at = min(self.active_at, time)
        for name in ("fired_at", "resolved_at", "kept_since", "sent_at"):
            then = getattr(self, name)
            if then is not None:
                setattr(self, name, min(then, time))


@dataclass(slots=True)
class AlertStates:
    """The alerts of one rule.

    Attributes:
        rule: the rule.
        instances: those that are pending, firing, or resolved and not yet forgotten.
    """

    rule: AlertRule
    instances: dict[Labels, Instance] = field(default_factory=dict)
    _order: list[int] | None = field(default=None, repr=False, compare=False)

    def advance(
        self, time: float, found: Mapping[Labels, tuple[Labels, float]], *, settling: bool = False
    ) -> list[tuple[Instance, State | None]]:
        """Take note of what holds now.

        Args:
            time: Unix seconds.
            found: for each alert that holds, the labels and the value of its element.
            settling: the agent has just begun, and what it does not see may not have been looked
                at yet: restored alerts stay as they are.

        Returns:
            The alerts whose state changed, and the state before, None for a new one.
        """
        changes: list[tuple[Instance, State | None]] = []
        self._order = None
        for labels, (element, value) in found.items():
            known = self.instances.get(labels)
            if known is not None and known.state is not State.RESOLVED:
                known.element, known.value = element, value
                known.kept_since, known.returning = None, False
                continue
            fresh = Instance(labels=labels, element=element, value=value, active_at=time)
            self.instances[labels] = fresh
            changes.append((fresh, None))
        for instance in [*self.instances.values()]:
            before = instance.state
            if instance.labels not in found:
                self._absent(instance, time, settling=settling)
            elif instance.state is State.PENDING and time - instance.active_at >= self.rule.hold:
                instance.state, instance.fired_at = State.FIRING, time
            if instance.state is not before:
                changes.append((instance, before))
        if not changes and len(found) == len(self.instances):
            places = {labels: place for place, labels in enumerate(found)}
            self._order = [*map(places.__getitem__, self.instances)]
        return changes

    def same(self, time: float, values: Sequence[float]) -> list[tuple[Instance, State]] | None:
        """Take note that the alerts hold on of which `advance` was told last.

        Args:
            time: Unix seconds.
            values: of the elements, in the same order.

        Returns:
            The alerts that fire now, and the state before; None where `advance` has to look: then
            nothing has been noted.
        """
        order = self._order
        if order is None or len(order) != len(self.instances):
            return None
        changes: list[tuple[Instance, State]] = []
        for instance, place in zip(self.instances.values(), order, strict=True):
            instance.value = values[place]
            instance.kept_since, instance.returning = None, False
            if instance.state is State.PENDING and time - instance.active_at >= self.rule.hold:
                changes.append((instance, State.PENDING))
                instance.state, instance.fired_at = State.FIRING, time
        return changes

    def set_back(self, time: float) -> None:
        """Take note that the clock went back: nothing has happened later than now."""
        self._order = None
        for instance in self.instances.values():
            instance.set_back(time)

    def _absent(self, instance: Instance, time: float, *, settling: bool) -> None:
        """Take note that the expression does not hold for an alert."""
        if instance.returning and settling and instance.state is not State.RESOLVED:
            return
        match instance.state:
            case State.PENDING:
                del self.instances[instance.labels]
            case State.FIRING if self._kept(instance, time):
                pass
            case State.FIRING:
                instance.state, instance.resolved_at = State.RESOLVED, time
            case State.RESOLVED:
                ended = time if instance.resolved_at is None else instance.resolved_at
                if time - ended > RESOLVED_RETENTION:
                    del self.instances[instance.labels]

    def retire(self, time: float) -> list[tuple[Instance, State]]:
        """Take note that the rule is gone: what fires ends now, whatever `keep_firing_for` says.

        Args:
            time: Unix seconds.

        Returns:
            The alerts that end, and the state before.
        """
        ended: list[tuple[Instance, State]] = []
        for instance in [*self.instances.values()]:
            if instance.state is State.FIRING:
                ended.append((instance, instance.state))
                instance.state, instance.resolved_at = State.RESOLVED, time
            else:
                self._absent(instance, time, settling=False)
        return ended

    def _kept(self, instance: Instance, time: float) -> bool:
        """Return whether an alert goes on firing although its expression does not hold."""
        if not self.rule.keep:
            return False
        if instance.kept_since is None:
            instance.kept_since = time
        return time - instance.kept_since < self.rule.keep

    def active(self) -> list[Instance]:
        """Return the alerts that are pending or firing."""
        return [item for item in self.instances.values() if item.state is not State.RESOLVED]
