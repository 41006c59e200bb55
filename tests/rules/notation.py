"""The notation in which promtool's unit tests write series, times and expected samples."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agent.store.series import Labels

_SERIES = re.compile(r"(?P<name>\w*)\{(?P<labels>.*)\}")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_REPEATED = re.compile(r"(?P<first>_|-?[\d.]+)(?P<step>[+-][\d.]+)?x(?P<times>\d+)")
_PART = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@cache
def unit_tests() -> Mapping[Path, Any]:
    """Return the unit tests of the shipped rules by file; read once, for nobody to change."""
    files = sorted(Path(__file__).parent.glob("*.yml"))
    return {file: yaml.safe_load(file.read_text()) for file in files}


def seconds(text: str) -> int:
    """Return a duration such as `1h30m` in seconds."""
    return sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(text))


def series(text: str) -> tuple[str, Labels]:
    """Return the name and the labels of a series without escapes, the labels by name."""
    match = _SERIES.fullmatch(text)
    assert match is not None, text
    return match["name"], tuple(sorted(_LABEL.findall(match["labels"])))


def values(text: str) -> list[float | None]:
    """Return the samples of a series; None where there is none, or where the series ends."""
    samples: list[float | None] = []
    for word in text.split():
        match = _REPEATED.fullmatch(word)
        if match is None:
            samples.append(None if word in {"_", "stale"} else float(word))
        elif match["first"] == "_":
            samples += [None] * int(match["times"])
        else:
            first, step = float(match["first"]), float(match["step"] or 0)
            samples += [first + step * number for number in range(int(match["times"]) + 1)]
    return samples
