"""Rule files: where they are, and the rules in them."""

import glob
from collections.abc import Collection, Iterable
from importlib import resources
from pathlib import Path

from agent.alerts.errors import RuleError
from agent.alerts.load import compile_groups, without
from agent.alerts.rule import Group
from agent.config.rule_files import RawGroup, RuleProblem, read_rule_file
from agent.config.settings import Alerts


def shipped_rule_files() -> list[Path]:
    """Return the rule files that come with the agent."""
    folder = resources.files("agent.alerts") / "rules"
    return sorted(Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".yml"))


def rule_paths(settings: Alerts) -> list[Path]:
    """Return the rule files that settings ask for.

    Raises:
        RuleError: a pattern matches no file.
    """
    paths = shipped_rule_files() if settings.shipped else []
    problems: list[str] = []
    for pattern in settings.rule_files:
        found = sorted(glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - absolute pattern
        if not found:
            problems.append(f"{pattern}: there is no such rule file")
        paths += [Path(name) for name in found]
    if problems:
        raise RuleError("\n".join(problems))
    return paths


def load_rules(paths: Iterable[Path], *, disabled: Collection[str] = ()) -> tuple[Group, ...]:
    """Return the groups of rule files.

    Args:
        paths: the files.
        disabled: names of alerts that are left out.

    Raises:
        RuleError: one line for each problem of any of the files.
    """
    raw: list[RawGroup] = []
    problems: list[RuleProblem] = []
    for path in paths:
        groups, found = read_rule_file(path)
        raw += groups
        problems += found
    compiled, found = compile_groups(raw)
    if problems or found:
        raise RuleError("\n".join(map(str, sorted([*problems, *found]))))
    return tuple(without(compiled, disabled))


def configured_rules(settings: Alerts) -> tuple[Group, ...]:
    """Return the groups that settings ask for; none where rules are not evaluated here.

    Raises:
        RuleError: as for `rule_paths` and `load_rules`.
    """
    if not settings.enabled:
        return ()
    return load_rules(rule_paths(settings), disabled=settings.disabled)
