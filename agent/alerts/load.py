"""From rule files as they are written to rules that can be evaluated.

Whatever cannot be evaluated is refused here, by name, and not when an alert is due.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Protocol

from agent.alerts.errors import RuleError, TemplateError
from agent.alerts.rule import AlertRule, Group, RecordingRule, Rule
from agent.alerts.template import Template, parse_template
from agent.catalog.declare import PREFIX
from agent.config.rule_files import RawGroup, RawRule, RuleProblem
from agent.promql import PromqlError, Query, parse

SHORT_WINDOW: Final = 300.0
"""Groups that look back no longer than this run at every tick, unless they say otherwise."""

LONG_INTERVAL: Final = 30.0
"""Seconds between evaluations of the others."""


def without(groups: Iterable[Group], disabled: Collection[str]) -> Iterator[Group]:
    """Yield the groups less the alerts of these names; one that is empty then is left out."""
    for group in groups:
        kept = tuple(
            rule
            for rule in group.rules
            if not (isinstance(rule, AlertRule) and rule.name in disabled)
        )
        if kept:
            yield replace(group, rules=kept)


def compile_groups(raw: Iterable[RawGroup]) -> tuple[list[Group], list[RuleProblem]]:
    """Return groups that can be evaluated, less the rules that cannot, and why not."""
    problems: list[RuleProblem] = []
    groups: list[Group] = []
    for group in raw:
        rules = [
            rule for item in group.rules if (rule := _compile(item, group, problems)) is not None
        ]
        groups.append(
            Group(
                name=group.name,
                file=group.file,
                interval=_interval(group, rules),
                limit=group.limit,
                rules=tuple(rules),
            )
        )
    return groups, problems


def _interval(group: RawGroup, rules: Iterable[Rule]) -> float:
    """Return how often a group is evaluated; 0 for every tick."""
    if group.interval is not None:
        return group.interval
    reach = max((rule.query.reach() for rule in rules), default=0.0)
    return 0.0 if reach <= SHORT_WINDOW else LONG_INTERVAL


def _compile(raw: RawRule, group: RawGroup, problems: list[RuleProblem]) -> Rule | None:
    """Return a rule, or None with at least one problem noted."""
    before = len(problems)

    def refuse(key: str, error: Exception) -> None:
        line = raw.lines.get(key, raw.line)
        where = f"group '{group.name}': rule '{raw.name}': {key}"
        problems.append(RuleProblem(group.file, line, f"{where}: {error}"))

    if raw.record.startswith(PREFIX):
        refuse("record", RuleError(f"the prefix {PREFIX} is that of collected metrics"))
    query: Query | None = None
    try:
        query = parse(raw.expr)
    except PromqlError as error:
        refuse("expr", error)
    labels = dict(_templates("labels", raw.labels, refuse)) if raw.alert else {}
    annotations = dict(_templates("annotations", raw.annotations, refuse))
    if query is None or len(problems) > before:
        return None
    if raw.record:
        return RecordingRule(name=raw.record, query=query, labels=raw.labels)
    return AlertRule(
        name=raw.alert,
        query=query,
        hold=raw.hold,
        keep=raw.keep,
        labels=labels,
        annotations=annotations,
    )


class _Refuse(Protocol):
    """Notes a problem with a key of a rule."""

    def __call__(self, key: str, error: Exception) -> None:
        """Note it."""
        ...


def _templates(
    kind: str, texts: Mapping[str, str], refuse: _Refuse
) -> Iterator[tuple[str, Template]]:
    """Yield the templates that can be parsed, by their name."""
    for name, text in texts.items():
        try:
            template = parse_template(text)
            for query in template.queries:
                parse(query)
        except (TemplateError, PromqlError) as error:
            refuse(f"{kind}.{name}", error)
            continue
        yield name, template
