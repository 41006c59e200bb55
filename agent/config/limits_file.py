"""Limits and targets that somebody wrote down for engines that show none: `--limits FILE`.

YAML or JSON for all engines, and for those of a model or for one instance:

    max_num_seqs: 32
    targets: {time_to_first_token: 1s, inter_token_latency: 66ms}
    models:
      big: {max-num-seqs: 8}

Names may be written as flags are, `--max-num-seqs`; or the file is the engine's command line.
"""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml

from agent.config.planning import Capacity, EngineLimits
from agent.config.settings import ModelTargets, Settings, Targets
from agent.config.values import Count, Duration, Value
from agent.model import ConfigError

_COUNT: Final = Count(maximum=10**8)
_LIMITS: Final[Mapping[str, Value]] = {"max_num_seqs": _COUNT, "max_num_batched_tokens": _COUNT}
_LATENCY: Final = Duration(0.001, 3600.0)
_TARGETS: Final[Mapping[str, Value]] = {
    "time_to_first_token": _LATENCY,
    "inter_token_latency": _LATENCY,
}
_GROUPS: Final = ("models", "instances")

CommandLine = Callable[[Sequence[str]], Mapping[str, str]]
"""Returns what the words of an engine's command line say, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsFile:
    """What the file holds.

    Attributes:
        limits: for all engines, models and instances.
        targets: for all engines, by name.
        model_targets: for those of a model.
    """

    limits: tuple[EngineLimits, ...] = ()
    targets: Mapping[str, float] = field(default_factory=dict)
    model_targets: tuple[ModelTargets, ...] = ()

    def over(self, settings: Settings) -> Settings:
        """Return settings in which this counts before what they say."""
        usual, given = settings.targets, self.targets
        first, between = (given.get(name) for name in _TARGETS)
        named = {model.model_name for model in self.model_targets}
        others = tuple(
            replace(
                model,
                time_to_first_token=None if first else model.time_to_first_token,
                inter_token_latency=None if between else model.inter_token_latency,
            )
            for model in usual.models
            if model.model_name not in named
        )
        targets: Targets = replace(
            usual,
            time_to_first_token=first or usual.time_to_first_token,
            inter_token_latency=between or usual.inter_token_latency,
            models=(*self.model_targets, *others),
        )
        told = {(one.instance, one.model_name) for one in self.limits}
        kept = tuple(
            one for one in settings.capacity.limits if (one.instance, one.model_name) not in told
        )
        capacity: Capacity = replace(settings.capacity, limits=(*self.limits, *kept))
        return replace(settings, targets=targets, capacity=capacity)


def read_limits(path: Path, *, command_line: CommandLine, flags: Collection[str]) -> LimitsFile:
    """Return what a file of limits holds.

    Args:
        path: of the file.
        command_line: reads one.
        flags: names of further flags of engines, which may stand there and mean nothing here.

    Raises:
        ConfigError: it cannot be read, or holds what is not known; the message has all of it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    try:
        content: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        content = text
    if isinstance(content, str) or (isinstance(content, dict) and any(map(_is_line, content))):
        content = _said(path, text, command_line)
    reader = _Reader(flags)
    found = reader.read({} if content is None else content)
    if reader.problems:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in reader.problems))
    return found


def _is_line(key: object) -> bool:
    """Return whether a key is a command line, in which YAML has found a colon."""
    return isinstance(key, str) and len(key.split()) > 1


def _said(path: Path, text: str, command_line: CommandLine) -> Mapping[str, Any]:
    """Return the limits that a command line holds.

    Raises:
        ConfigError: it holds none.
    """
    try:
        words = shlex.split(text.replace("\\\n", " "), comments=True)
    except ValueError as error:
        raise ConfigError(f"{path}: is neither YAML nor a command line: {error}") from error
    said = command_line(words)
    found = {name: int(said[name]) for name in _LIMITS if name in said}
    if not found:
        raise ConfigError(
            f"{path}: is neither YAML with keys nor a command line with --max-num-seqs or "
            "--max-num-batched-tokens"
        )
    return found


class _Reader:
    """Walks what YAML gave and notes every problem."""

    def __init__(self, flags: Collection[str]) -> None:
        self._flags = frozenset(flags)
        self.problems: list[str] = []

    def read(self, content: Any) -> LimitsFile:
        """Return what it holds, as far as it makes sense."""
        whole = self._group(content, "", groups=_GROUPS)
        limits = [_limits(whole)]
        models: list[ModelTargets] = []
        for group in _GROUPS:
            entries = whole.get(group) or {}
            if not isinstance(entries, Mapping):
                self.problems.append(f"{group}: expected names, each with its limits")
                continue
            for name, entry in entries.items():
                key = f"{group}.{name}"
                found = self._group(entry, key, groups=())
                targets = {name: found[name] for name in _TARGETS if name in found}
                if group == "models":
                    limits.append(_limits(found, model_name=str(name)))
                    if targets:
                        models.append(ModelTargets(model_name=str(name), **targets))
                else:
                    limits.append(_limits(found, instance=str(name)))
                    if targets:
                        self.problems.append(f"{key}: targets are those of a model: see models")
        return LimitsFile(
            limits=tuple(one for one in limits if one.max_num_seqs or one.max_num_batched_tokens),
            targets={name: whole[name] for name in _TARGETS if name in whole},
            model_targets=tuple(models),
        )

    def _group(self, content: Any, key: str, *, groups: Collection[str]) -> dict[str, Any]:
        """Return the keys of a group with their values."""
        found: dict[str, Any] = {}
        place = f"{key}: " if key else ""
        if not isinstance(content, Mapping):
            self.problems.append(f"{place}expected keys with values")
            return found
        for written, raw in content.items():
            name = str(written).removeprefix("--").replace("-", "_")
            if name in groups:
                found[name] = raw
            elif name == "targets":
                found.update(self._targets(raw, f"{key}.targets" if key else "targets"))
            elif name in _LIMITS or name in _TARGETS:
                self._take(found, name, raw, place)
            elif name not in self._flags:
                known = ", ".join((*_LIMITS, "targets", *_TARGETS, *groups))
                self.problems.append(f"{place}{written}: unknown key; expected {known}")
        return found

    def _targets(self, raw: Any, key: str) -> dict[str, Any]:
        """Return the targets of a group of them."""
        found: dict[str, Any] = {}
        if not isinstance(raw, Mapping):
            self.problems.append(f"{key}: expected keys with values")
            return found
        for written, value in raw.items():
            name = str(written).removeprefix("--").replace("-", "_")
            if name in _TARGETS:
                self._take(found, name, value, f"{key}: ")
            else:
                self.problems.append(
                    f"{key}: {written}: unknown key; expected {', '.join(_TARGETS)}"
                )
        return found

    def _take(self, found: dict[str, Any], name: str, raw: Any, place: str) -> None:
        """Keep a value that makes sense; none is one that is not known."""
        if raw is None:
            return
        value = int(raw) if isinstance(raw, str) and raw.isdecimal() else raw
        try:
            found[name] = (_LIMITS.get(name) or _TARGETS[name]).convert(value)
        except ValueError as error:
            self.problems.append(f"{place}{name}: expected {error}")


def _limits(
    found: Mapping[str, Any], *, instance: str | None = None, model_name: str | None = None
) -> EngineLimits:
    """Return the limits among what was found, for an instance, a model or all."""
    return EngineLimits(
        instance=instance,
        model_name=model_name,
        max_num_seqs=found.get("max_num_seqs"),
        max_num_batched_tokens=found.get("max_num_batched_tokens"),
    )
