"""One group of rules: evaluates them in their order and keeps the state of their alerts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.alerts.errors import RuleError
from agent.alerts.recorded import ALERTS, ALERTS_FOR_STATE, Record, RecordedSeries
from agent.alerts.rule import AlertRule, Group, RecordingRule
from agent.alerts.severity import LABEL, Severities
from agent.alerts.source import NAME, OneTick
from agent.alerts.standing import Standing
from agent.alerts.state import AlertStates, Instance, State
from agent.alerts.template import Data, Result, Template
from agent.model import InferwatchError
from agent.promql import Scalar, Vector, evaluate_instant, parse
from agent.steps import Steps
from agent.store.series import STALE, Labels

# What was worked out for the labels of results is kept while they are among this many.
_REMEMBERED: Final = 4096
# The document that the links of the shipped rules lead into, as the repository has it.
_RUNBOOKS: Final = "docs/runbooks.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What rules know of the host on which they run.

    Attributes:
        external_labels: added to every alert that goes out.
        external_url: where the agent's own page is.
        runbook_base: what annotations `runbook_url` that are no whole address are below; without
            one the runbooks of the shipped rules are those that the agent serves.
        verdict: what analysis says of the engines that an alert with some labels is about.
    """

    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""
    runbook_base: str = ""
    verdict: Callable[[Mapping[str, str]], str] = lambda _labels: ""

    def runbook(self, link: str) -> str:
        """Return where a runbook can be read."""
        if not link or "://" in link:
            return link
        if not self.runbook_base:
            document, _, anchor = link.partition("#")
            served = self.external_url and document == _RUNBOOKS
            return f"{self.external_url.rstrip('/')}/runbooks#{anchor}" if served else link
        return f"{self.runbook_base.rstrip('/')}/{link.lstrip('/')}"


@dataclass(frozen=True, slots=True)
class Transition:
    """An alert whose state changed, and its state before, None for a new one."""

    rule: AlertRule
    instance: Instance
    before: State | None


@dataclass(slots=True)
class Evaluated:
    """What one evaluation of a group gave.

    Attributes:
        transitions: alerts whose state changed.
        failures: name of each rule that failed, and why.
    """

    transitions: list[Transition] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)


class GroupState:
    """A group and what is known of its alerts.

    Args:
        group: the rules.
        site: see there.
        recorded: shared by all groups.

    Attributes:
        rules: in their order.
        alerting: those that give alerts.
        failing: why rules had no result at the last evaluation, by their place.
        evaluated_at: Unix seconds of the last evaluation, None before the first.
        took: seconds that it took, where somebody measured it.
    """

    def __init__(self, group: Group, *, site: Site, recorded: RecordedSeries) -> None:
        self.group = group
        self._recorded = recorded
        self.rules: list[_Recording | Alerting] = [
            _Recording(rule) if isinstance(rule, RecordingRule) else Alerting(rule, site)
            for rule in group.rules
        ]
        self.alerting = [rule for rule in self.rules if isinstance(rule, Alerting)]
        self.failing: dict[int, str] = {}
        self.evaluated_at: float | None = None
        self.took = 0.0
        self._written: list[Mapping[Labels, float]] = [{} for _rule in group.rules]
        self._said: list[Mapping[Labels, float]] = [*self._written]
        self._ids: list[list[int]] = [[] for _rule in group.rules]
        self._resting: list[Standing | None] = [None for _rule in group.rules]
        self._forgotten = 0
        self._record = Record([])

    def evaluate(self, time: float, tick: OneTick, *, settling: bool) -> Steps[Evaluated]:
        """Evaluate every rule at this time, each in a step; one that fails harms no other.

        What is known of the evaluation before stands until the last step.

        Args:
            time: Unix seconds.
            tick: the history; takes what is recorded.
            settling: see `AlertStates.advance`.
        """
        outcome = Evaluated()
        failing: dict[int, str] = {}
        places: list[int] = []
        self._look_up_again()
        for place, rule in enumerate(self.rules):
            resting = self._resting[place]
            if resting is not None and resting.stands(tick, time):
                continue
            yield
            before, self._resting[place] = self._written[place], None
            try:
                samples = self._evaluate(rule, time, tick, outcome, settling=settling)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other rules go on
                # Its series have not ended: they are in the list of the next evaluation.
                why = failing[place] = str(error) or type(error).__name__
                outcome.failures.append((rule.rule.name, why))
                continue
            self._written[place] = samples
            self._resting[place] = None if samples else rule.resting()
            if samples is not before:
                said: Mapping[Labels, float] = samples
                if ended := before.keys() - samples.keys():
                    said = {**dict.fromkeys(ended, STALE), **samples}
                self._said[place] = said
                # What is still said of alerts need not be looked up again.
                self._ids[place] = [*map(self._recorded.intern, said)]
            elif len(self._said[place]) > len(samples):  # the ends were said already
                self._said[place] = samples
                self._ids[place] = [*map(self._recorded.intern, samples)]
            if self._said[place]:
                tick.write(time, self._said[place], rule.names)
                places.append(place)
        if places:
            self._hand_over(places, time, tick)
        self.failing, self.evaluated_at = failing, time
        return outcome

    def wake(self) -> None:
        """Take note that a rule may have alerts that it has not found itself."""
        self._resting = [None for _rule in self.rules]

    def _hand_over(self, places: Sequence[int], time: float, tick: OneTick) -> None:
        """Hand over to the history what the rules at these places say."""
        record, parts = self._record, [self._said[place] for place in places]
        if not record.is_of(parts):
            record = self._record = Record(parts)
            for place in places:
                record.add(self._ids[place], self._said[place], self.rules[place].names)
        tick.record(time, record.ids, record.values, record.names)

    def _look_up_again(self) -> None:
        """Look the series up again if any may have been forgotten: between two evaluations."""
        if self._forgotten != self._recorded.forgotten:
            self._forgotten = self._recorded.forgotten
            self._ids = [[*map(self._recorded.intern, said)] for said in self._said]
            self._record = Record([])

    def _evaluate(
        self,
        rule: "_Recording | Alerting",
        time: float,
        tick: OneTick,
        outcome: Evaluated,
        *,
        settling: bool,
    ) -> dict[Labels, float]:
        """Evaluate one rule and return what it writes."""
        limit = self.group.limit
        if isinstance(rule, Alerting):
            outcome.transitions += rule.evaluate(time, tick, limit=limit, settling=settling)
            return rule.samples()
        return rule.evaluate(time, tick, limit=limit)

    def end(self, time: float, tick: OneTick) -> None:
        """Write that every series of the group has ended: its rules are no longer evaluated."""
        ended = {labels: STALE for written in self._written for labels in written}
        if ended:
            ids = [*map(self._recorded.intern, ended)]
            names = frozenset().union(*(rule.names for rule in self.rules))
            tick.record(time, ids, [*ended.values()], names)


def _vector(value: object) -> Iterator[tuple[Labels, float]]:
    """Give the elements of a result; a number is one without labels."""
    if isinstance(value, Vector):
        yield from value
    elif isinstance(value, Scalar):
        yield (), value.value
    else:
        raise RuleError("the expression is neither a vector nor a number")


class _Recording:
    """A recording rule, and the labels of what it gave lately.

    Attributes:
        rule: the rule.
        names: of the series that it writes.
    """

    def __init__(self, rule: RecordingRule) -> None:
        self.rule = rule
        self.names = frozenset({rule.name})
        self._result = Standing(rule.query)
        self._renamed: dict[Labels, Labels] = {}

    def resting(self) -> Standing | None:
        """Return nothing: what it writes is written each time."""
        return None

    def evaluate(self, time: float, tick: OneTick, *, limit: int) -> dict[Labels, float]:
        """Return what is to be written.

        Raises:
            InferwatchError: it has no result at this time, or too large a one.
        """
        written: dict[Labels, float] = {}
        count = 0
        for labels, value in _vector(self._result.at(tick, time)):
            written[self._name(labels)] = value
            count += 1
        if len(written) < count:
            raise RuleError("two series have the same labels once the rule's labels are set")
        if 0 < limit < count:
            raise RuleError(f"gives {count} series, over the limit of {limit}")
        return written

    def _name(self, labels: Labels) -> Labels:
        """Return the labels under which an element is written."""
        known = self._renamed.get(labels)
        if known is None:
            if len(self._renamed) >= _REMEMBERED:
                self._renamed.clear()
            pairs = {**dict(labels), **self.rule.labels, NAME: self.rule.name}
            known = tuple(sorted((name, value) for name, value in pairs.items() if value))
            self._renamed[labels] = known
        return known


class Alerting:
    """An alerting rule and its alerts.

    Attributes:
        rule: the rule.
        states: of its alerts.
        names: of the series that it writes.
    """

    names = frozenset({ALERTS, ALERTS_FOR_STATE})

    def __init__(self, rule: AlertRule, site: Site) -> None:
        self.rule = rule
        self.states = AlertStates(rule)
        self._result = Standing(rule.query)
        self._site = site
        self._severities = Severities(rule.severities)
        constant = all(template.constant for template in rule.labels.values())
        self._fixed = constant and not self._severities.by_model
        self._identities: dict[Labels, Labels] = {}
        self._empty = False
        self._elements: Sequence[Labels] | None = None
        self._said: list[tuple[Labels, State, float]] = []
        self._samples: dict[Labels, float] = {}
        self._unchanged = False

    def resting(self) -> Standing | None:
        """Return what must stand for it to have nothing to say, where it has nothing to say."""
        return self._result if self._empty and not self.states.instances else None

    def evaluate(
        self, time: float, tick: OneTick, *, limit: int, settling: bool
    ) -> list[Transition]:
        """Bring the alerts up to this time and return those whose state changed.

        Raises:
            InferwatchError: the rule has no result at this time, or too large a one.
        """
        self._unchanged = False
        result = self._result.at(tick, time)
        self._empty = isinstance(result, Vector) and not result.labels
        if self._empty and not self.states.instances:
            return []  # as at nearly every moment
        if isinstance(result, Vector) and result.labels is self._elements:
            same = self.states.same(time, result.values)
            if same is not None:
                self._unchanged = not same
                return [Transition(self.rule, instance, before) for instance, before in same]
        self._elements = None
        found: dict[Labels, tuple[Labels, float]] = {}
        for element, value in _vector(result):
            labels = self._identity(element, value, time, tick)
            if labels in found:
                raise RuleError("two alerts have the same labels once the rule's labels are set")
            found[labels] = (element, value)
        changes = self.states.advance(time, found, settling=settling)
        active = len(self.states.active())
        if 0 < limit < active:
            self.states.instances.clear()
            raise RuleError(f"gives {active} alerts, over the limit of {limit}")
        if self._fixed and isinstance(result, Vector):
            self._elements = result.labels
        return [Transition(self.rule, instance, before) for instance, before in changes]

    def _identity(self, element: Labels, value: float, time: float, tick: OneTick) -> Labels:
        """Return the labels of the alert that an element is."""
        known = self._identities.get(element)
        if known is not None:
            return known
        pairs = {name: text for name, text in element if name != NAME}
        data = self.data(element, value, time, tick)
        for name, template in self.rule.labels.items():
            pairs[name] = expanded(template, data)
        pairs["alertname"] = self.rule.name
        if self.rule.severities:
            if not self._severities.knows(pairs, time, tick):
                for instance in self.states.active():
                    if instance.element == element:  # it goes on as what it was when it began
                        return instance.labels
            pairs[LABEL] = self._severities.of(pairs, time, tick) or pairs.get(LABEL, "")
        labels = tuple(sorted((name, text) for name, text in pairs.items() if text))
        if self._fixed:
            if len(self._identities) >= _REMEMBERED:
                self._identities.clear()
            self._identities[element] = labels
        return labels

    def data(self, element: Labels, value: float, time: float, tick: OneTick) -> Data:
        """Return what the templates of one alert are rendered with."""
        return Data(
            labels=dict(element),
            value=value,
            external_labels=self._site.external_labels,
            external_url=self._site.external_url,
            query=_querier(time, tick),
        )

    def samples(self) -> dict[Labels, float]:
        """Return the series that say which alerts are pending and firing; not to be changed."""
        if self._unchanged:
            return self._samples
        said = [(one.labels, one.state, one.active_at) for one in self.states.active()]
        if said != self._said:
            written: dict[Labels, float] = {}
            for labels, state, active_at in said:
                pairs = [*labels, (NAME, ALERTS), ("alertstate", state.value)]
                written[tuple(sorted(pairs))] = 1.0
                since = [*labels, (NAME, ALERTS_FOR_STATE)]
                written[tuple(sorted(since))] = float(int(active_at))
            self._said, self._samples = said, written
        return self._samples


def _querier(time: float, tick: OneTick) -> Callable[[str], list[Result]]:
    """Return the function `query` of templates for one moment."""

    def query(text: str) -> list[Result]:
        value = evaluate_instant(parse(text), tick, time)
        return [Result(dict(labels), number) for labels, number in _vector(value)]

    return query


def expanded(template: Template, data: Data) -> str:
    """Return the text of a template; what is wrong with it is said in its place."""
    try:
        return template.render(data)
    except InferwatchError as error:
        return f"<error expanding template: {error}>"
