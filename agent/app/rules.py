"""Rule files: where they are, and the rules in them."""

import glob
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from agent import alerts
from agent.alerts.errors import RuleError
from agent.alerts.load import compile_groups, without
from agent.alerts.rule import Group, Severity
from agent.alerts.severity import names, with_severities
from agent.config.near import nearest
from agent.config.rule_files import RawGroup, RuleProblem, read_rule_file
from agent.config.settings import Alerts

_SHIPPED: Final = Path(alerts.__file__).with_name("rules")


def shipped_rule_files() -> list[Path]:
    """Return the rule files that come with the agent."""
    return sorted(_SHIPPED.glob("*.yml"))


def openllmetry_names() -> Path:
    """Return the rule file that records series under the names of OpenLLMetry guides."""
    return _SHIPPED / "names" / "openllmetry.yml"


def rule_paths(settings: Alerts) -> list[Path]:
    """Return the rule files that settings ask for.

    Raises:
        RuleError: a pattern matches no file.
    """
    paths = shipped_rule_files() if settings.shipped else []
    if settings.openllmetry_names:
        paths.append(openllmetry_names())
    problems: list[str] = []
    for pattern in settings.rule_files:
        found = sorted(glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - absolute pattern
        if not found:
            problems.append(f"{pattern}: there is no such rule file")
        paths += [Path(name) for name in found]
    if problems:
        raise RuleError("\n".join(problems))
    return paths


def load_rules(paths: Iterable[Path]) -> tuple[Group, ...]:
    """Return the groups of rule files.

    Raises:
        RuleError: one line for each problem of any of the files.
    """
    raw: list[RawGroup] = []
    problems: list[RuleProblem] = []
    shipped = {*shipped_rule_files(), openllmetry_names()}
    for path in paths:
        groups, found = read_rule_file(path, own=path in shipped)
        raw += groups
        problems += found
    compiled, found = compile_groups(raw)
    if problems or found:
        raise RuleError("\n".join(map(str, sorted([*problems, *found]))))
    return tuple(compiled)


def configured_rules(settings: Alerts) -> tuple[Group, ...]:
    """Return the groups that settings ask for; none where rules are not evaluated here.

    Raises:
        RuleError: as for `rule_paths` and `load_rules`, or the name of an alert is of none.
    """
    if not settings.enabled:
        return ()
    groups = load_rules(rule_paths(settings))
    _check_names(groups, settings)
    return severe(groups, settings)


def _check_names(groups: Collection[Group], settings: Alerts) -> None:
    """Refuse severities of alerts that there are not, and disabled ones that there never were.

    Raises:
        RuleError: one line for each of them.
    """
    known = names(groups)
    named = [(f"{one.place}.alert", one.alert) for one in settings.severity if one.alert]
    if not known.issuperset(settings.disabled):
        off = names(load_rules(shipped_rule_files())) - known
        named += [
            (f"{settings.place}.disabled", one) for one in settings.disabled if one not in off
        ]
    problems: list[str] = []
    for place, name in named:
        if name not in known:
            near = nearest(name, known)
            hint = f"; did you mean '{near}'?" if near else ""
            problems.append(f"{place}: no rule gives an alert '{name}'{hint}")
    if problems:
        raise RuleError("\n".join(problems))


def severe(groups: Iterable[Group], settings: Alerts) -> tuple[Group, ...]:
    """Return groups with the severities of the settings, less the alerts that are disabled."""
    told = [
        (
            one.alert,
            Severity(severity=one.severity, model_name=one.model_name, instance_name=one.instance),
        )
        for one in settings.severity
    ]
    return tuple(without(with_severities(groups, told), settings.disabled))
