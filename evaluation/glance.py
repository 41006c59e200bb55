"""What was asked of the estimators and what they reached: a table of `docs/evaluation.md`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is asked of one figure.

    Attributes:
        what: the figure, in words.
        key: its name in `build/evaluation.json`; `KEY_between` beside it, if there, are the
            bounds of 95 % (`evaluation.intervals`), given how few cases it was counted on.
        low: least that is asked.
        high: most that is.
        text: how the figure is written.
    """

    what: str
    key: str
    low: float = -inf
    high: float = inf
    text: Callable[[float], str]

    def asked(self) -> str:
        """Return what is asked, in words."""
        if isfinite(self.low) and isfinite(self.high):
            return f"{self.text(self.low)} to {self.text(self.high)}"
        if isfinite(self.low):
            return f"at least {self.text(self.low)}"
        return f"at most {self.text(self.high)}"

    def held(self, value: float) -> bool:
        """Return whether a figure is as asked; one that is not a number is not."""
        return self.low <= value <= self.high


def _percent(value: float) -> str:
    """Return a share in percent, with a decimal where it has one."""
    return f"{value:.1%}".replace(".0%", "%")


def _number(value: float) -> str:
    """Return a count, with a decimal where it has one."""
    return f"{value:.1f}".removesuffix(".0")


TARGETS: Final = (
    Target(
        what="verdict right, of the scored seconds", key="verdict_accuracy", low=0.95, text=_percent
    ),
    Target(
        what="KV exhaustion warned of 30 s ahead, of ramps slower than a minute",
        key="kv_warning_recall",
        low=0.90,
        text=_percent,
    ),
    Target(
        what="false alarms in a simulated day, near misses and ramps included",
        key="false_alarms_per_day",
        high=1.0,
        text=_number,
    ),
    Target(
        what="the same in a day of usual load",
        key="false_alarms_per_usual_day",
        high=1.0,
        text=_number,
    ),
    Target(
        what="KV forecasts that held their 90 % interval",
        key="forecast_coverage",
        low=0.85,
        high=0.95,
        text=_percent,
    ),
    Target(
        what="capacity, 60 % of it seen: median error",
        key="capacity_median_error",
        high=0.05,
        text=_percent,
    ),
    Target(
        what="the same: 9 of 10 errors within", key="capacity_p90_error", high=0.10, text=_percent
    ),
    Target(
        what="capacities in their 90 % interval, at the worst of 40, 60 and 90 % seen",
        key="capacity_interval_coverage",
        low=0.85,
        text=_percent,
    ),
    Target(what="binding limit named right", key="binding_limit_accuracy", low=0.90, text=_percent),
    Target(
        what="five minutes after the mix of requests has changed: median error",
        key="capacity_median_error_after_shift",
        high=0.05,
        text=_percent,
    ),
)
"""What the figures are held against."""


def table(figures: Mapping[str, Any]) -> str:
    """Return targets and figures side by side, as Markdown.

    Args:
        figures: by name, as in `build/evaluation.json`; all that `TARGETS` names are there.
    """
    lines = ["| what | asked | reached | holds |", "|---|--:|--:|---|"]
    for target in TARGETS:
        value = figures[target.key]
        reached = target.text(value)
        if (span := figures.get(f"{target.key}_between")) is not None:
            reached += f" ({target.text(span[0])} to {target.text(span[1])})"
        holds = "yes" if target.held(value) else "**no**"
        lines.append(f"| {target.what} | {target.asked()} | {reached} | {holds} |")
    return "\n".join(lines)
