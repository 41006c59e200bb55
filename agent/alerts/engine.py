"""All rules of this host: which are due at a tick, and whom to tell what of their alerts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from agent.alerts.context import numbers, subject
from agent.alerts.flapping import Flapping
from agent.alerts.group import Alerting, GroupState, Site, Transition, expanded
from agent.alerts.recorded import RecordedSeries
from agent.alerts.removed import Key, Removed
from agent.alerts.rule import Group
from agent.alerts.saved import SETTLING, restore, save
from agent.alerts.schedule import Schedule
from agent.alerts.source import History, OneTick
from agent.alerts.state import Instance, State
from agent.model import Alert, Event, SeriesTable
from agent.steps import Steps, at_once

RESEND: Final = 60.0
"""Seconds after which receivers are told again, as Prometheus's `--rules.alert.resend-delay`."""

# An alert that is not sent again ends after this many times the interval at which it should be.
_MISSED: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one tick gave.

    Attributes:
        alerts: those of which receivers are to be told now.
        events: alerts that began to fire or were resolved.
        failures: group, rule and reason of each rule that has no result.
        changed: the state of an alert is another than before, so it is worth saving.
    """

    alerts: Sequence[Alert]
    events: Sequence[Event]
    failures: Sequence[tuple[str, str, str]]
    changed: bool


class RuleEngine:
    """Evaluates groups of rules and keeps the state of their alerts.

    Args:
        groups: the rules.
        table: of the history that they are evaluated on.
        tick: seconds between ticks.
        site: see there.
        stagger: spread groups that are not due at every tick over their interval, and align them
            with the clock; else the first tick is the first evaluation of all.
        told: somebody is told of the alerts; else what they would be told is not worked out.

    Attributes:
        tick: seconds between ticks; another one holds from the next `replace` on.
        site: what alerts go out with; likewise.
        told: as above; another value holds at once.
        last: the group that was evaluated last.
        flapping: the alerts that come and go.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        *,
        table: SeriesTable,
        tick: float,
        site: Site | None = None,
        stagger: bool = True,
        told: bool = True,
    ) -> None:
        self.told = told
        self._table = table
        self.tick = tick
        self.last: GroupState | None = None
        self.site = site or Site()
        self._stagger = stagger
        self._recorded = RecordedSeries(table)
        self._groups: list[GroupState] = []
        self._ended: list[GroupState] = []
        self._removed = Removed()
        self.flapping = Flapping()
        self._schedule = Schedule((), tick)
        self._time: float | None = None
        self._settled_at: float | None = None
        self.replace(groups)

    def replace(self, groups: Sequence[Group]) -> None:
        """Go on with these rules; alerts of rules that are the same stay as they are.

        Those of rules that are gone are told as resolved from the next evaluation on.
        """
        known = dict(self._rules())
        self._ended += self._groups
        self._groups = [
            GroupState(
                group,
                site=self.site,
                recorded=self._recorded,
            )
            for group in groups
        ]
        for key, rule in self._rules():
            before = known.pop(key, None)
            states = self._removed.pop(key) if before is None else before.states
            if states is not None:
                rule.states.instances = states.instances
        for key, gone in known.items():
            self._removed.add(key, gone)
        self._schedule = Schedule(
            [group.interval for group in groups],
            self.tick,
            stagger=self._stagger,
            start=self._time,
        )

    @property
    def groups(self) -> Sequence[GroupState]:
        """The groups, in their order."""
        return self._groups

    def evaluate(self, time: float, history: History) -> Outcome:
        """Evaluate the groups that are due.

        Args:
            time: Unix seconds of the tick, whose samples the history has.
            history: is read, and takes what rules write.
        """
        return at_once(self.in_steps(time, history))

    def in_steps(self, time: float, history: History) -> Steps[Outcome]:
        """Do what `evaluate` does, rule by rule; no other call may come between."""
        if self._time is not None and time < self._time:
            for _key, rule in self._rules():
                rule.states.set_back(time)
            for instance in self._removed.instances():
                instance.set_back(time)
            self._schedule.set_back()
        self._time = time
        settling = self._settled_at is not None and time < self._settled_at
        tick = OneTick(history)
        for group in self._ended:  # what goes on is written again at its next evaluation
            group.end(time, tick)
        self._ended.clear()
        transitions: list[Transition] = []
        failures: list[tuple[str, str, str]] = []
        for place in self._schedule.due(time):
            state = self._groups[place]
            evaluated = yield from state.evaluate(time, tick, settling=settling)
            transitions += evaluated.transitions
            failures += [(state.group.name, rule, why) for rule, why in evaluated.failures]
            self.last = state
            yield
        if self._removed:
            heard = {one.labels for one in self._instances() if one.state is not State.PENDING}
            transitions += self._removed.resolve(time, heard)
        told = [*_told(transitions)]
        for transition in told:
            self.flapping.changed(transition.instance.labels, time)
        self.flapping.advance(time)
        alerts: list[Alert] = []
        for alert in self._due(time, tick) if self.told else ():
            alerts.append(alert)
            yield
        return Outcome(
            alerts=alerts,
            events=[*map(_event(time), told)],
            failures=failures,
            changed=bool(transitions),
        )

    def _due(self, time: float, tick: OneTick) -> Iterator[Alert]:
        """Yield the alerts of which receivers are to be told, and note that they are."""
        rules = [(rule, group.group.interval) for group in self._groups for rule in group.alerting]
        rules += [(rule, 0.0) for _key, rule in self._removed.keyed()]
        for rule, every in rules:
            for instance in rule.states.instances.values():
                if instance.due(time, RESEND):
                    instance.sent_at = time
                    until = time + _MISSED * max(every, RESEND)
                    yield self._alert(rule, instance, until, tick, time)

    def _alert(
        self, rule: Alerting, instance: Instance, until: float, tick: OneTick, time: float
    ) -> Alert:
        """Return an alert as it goes out."""
        labels = {**self.site.external_labels, **dict(instance.labels)}
        resolved = instance.state is State.RESOLVED
        link = self.site.external_url
        data = rule.data(instance.element, instance.value, time, tick)
        annotations = {
            "subject": subject(labels),
            "numbers": numbers(rule.rule.query, dict(instance.labels), time, tick),
            "verdict": self.site.verdict(labels),
            "flapping": self.flapping.note(instance.labels),
            "page": link,
        }
        for name, template in rule.rule.annotations.items():
            annotations[name] = expanded(template, data)
        annotations["runbook_url"] = self.runbook(annotations.get("runbook_url", ""))
        ends_at = instance.resolved_at if resolved else until
        return Alert(
            labels=labels,
            annotations={name: text for name, text in annotations.items() if text},
            starts_at=instance.active_at if instance.fired_at is None else instance.fired_at,
            ends_at=until if ends_at is None else ends_at,
            resolved=resolved,
            generator_url=f"{link}/?alert={quote(rule.rule.name)}" if link else "",
        )

    def runbook(self, link: str) -> str:
        """Return where a runbook can be read; see `Site`."""
        return self.site.runbook(link)

    def _rules(self) -> Iterator[tuple[Key, Alerting]]:
        """Yield the alerting rules, each with a key that stays when the files are read again."""
        seen: dict[tuple[str, str], int] = {}
        for group in self._groups:
            for rule in group.alerting:
                key = (group.group.name, rule.rule.name)
                seen[key] = seen.get(key, -1) + 1
                yield (*key, seen[key]), rule

    def _instances(self) -> Iterator[Instance]:
        """Yield every alert."""
        for _key, rule in self._rules():
            yield from rule.states.instances.values()

    def alerts(self) -> list[tuple[str, Instance]]:
        """Return the alerts that are pending or firing, each with the name of its rule."""
        return [
            (rule.rule.name, instance)
            for group in self._groups
            for rule in group.alerting
            if rule.states.instances
            for instance in rule.states.active()
        ]

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return how many alerts are pending and firing, by the name of their rule."""
        counts: dict[str, tuple[int, int]] = {}
        for group in self._groups:
            for rule in group.alerting:
                if not rule.states.instances:
                    continue
                states = [instance.state for instance in rule.states.active()]
                if states:
                    before, name = counts.get(rule.rule.name, (0, 0)), rule.rule.name
                    firing = states.count(State.FIRING)
                    counts[name] = (before[0] + len(states) - firing, before[1] + firing)
        return counts

    def saved(self, time: float) -> dict[str, Any]:
        """Return the state of all alerts for `restore`, as values that JSON has."""
        rules = [*self._rules(), *self._removed.keyed()]
        states = save(time, ((key[0], rule.states) for key, rule in rules))
        return states | {"flapping": self.flapping.as_json()}

    def restore(self, saved: Any, time: float) -> int:
        """Take up what was saved before the agent was restarted; see `agent.alerts.saved`.

        Returns:
            How many alerts of rules that are still there were taken up; those of others are told
            as resolved from the first evaluation on.
        """
        self._settled_at = time + SETTLING
        if isinstance(saved, Mapping):
            self.flapping.restore(saved.get("flapping"))
        for group in self._groups:
            group.wake()
        known = ((key[0], rule.states) for key, rule in self._rules())
        return restore(saved, time, known, partial(self._removed.missed, site=self.site))


def _told(transitions: Sequence[Transition]) -> Iterator[Transition]:
    """Yield those transitions that are worth an event."""
    for transition in transitions:
        if transition.instance.state is not State.PENDING and transition.before is not None:
            yield transition


def _event(time: float) -> Callable[[Transition], Event]:
    """Return the function that tells a transition at a time as an event."""

    def event(transition: Transition) -> Event:
        labels: Mapping[str, str] = dict(transition.instance.labels)
        fires = transition.instance.state is State.FIRING
        about = subject(labels)
        where = f" ({about})" if about else ""
        said = "fires" if fires else "is resolved"
        return Event(
            time=time,
            kind="alert_firing" if fires else "alert_resolved",
            source="rules",
            labels=labels,
            message=f"{transition.rule.name}{where} {said}",
        )

    return event
