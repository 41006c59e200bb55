"""Numbers, times and shares as people read them; what is not known is said so."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

NOT_KNOWN: Final = "not known"

_UNITS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0


def count(value: float) -> str:
    """Return a number with the digits that count, thousands shortened."""
    size = abs(value)
    for unit, letter in _UNITS:
        if size >= unit * (10 if unit == 1e3 else 1):  # noqa: PLR2004 - 1,234 reads well as it is
            scaled = value / unit
            return f"{scaled:.0f} {letter}" if abs(scaled) >= 100 else f"{scaled:.3g} {letter}"  # noqa: PLR2004
    if size >= 100 or value == int(value):  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.3g}"


def share(value: float) -> str:
    """Return a share as a percentage; one that is not nothing never reads as nothing."""
    if 0 < abs(value) < 0.001:  # noqa: PLR2004
        return "< 0.1 %" if value > 0 else "> -0.1 %"
    return f"{value * 100:.1f} %"


def whole(value: float) -> str:
    """Return a share as a percentage without decimals; a little is not nothing.

    For what is estimated and for what people look at once; `share` is for what was counted.
    """
    percent = value * 100
    if 0 < abs(percent) < 1:
        return "< 1 %" if percent > 0 else "> -1 %"
    return f"{percent:.0f} %"


def seconds(value: float) -> str:
    """Return a length of time, as finely as its size asks for."""
    if value == 0:
        return "0 s"
    if abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    if abs(value) < _MINUTE:
        return f"{value:.3g} s"
    if abs(value) < _HOUR:
        return f"{value / _MINUTE:.3g} min"
    if abs(value) < 2 * _DAY:
        return f"{value / _HOUR:.3g} h"
    return f"{value / _DAY:.3g} d"


def days(value: float) -> str:
    """Return a number of days."""
    return f"{value:.0f} days" if value >= 2 else f"{value:.1f} days"  # noqa: PLR2004


def moment(value: float) -> str:
    """Return a time to the minute, UTC."""
    return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M}Z"


def date(value: float) -> str:
    """Return a date, UTC."""
    return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d}"


def money(value: float) -> str:
    """Return an amount without its currency."""
    return f"{value:,.2f}" if abs(value) >= 0.1 else f"{value:.3g}"  # noqa: PLR2004


def signed(text: str, value: float) -> str:
    """Return a difference with its sign."""
    return f"+{text}" if value > 0 and text[:1].isdigit() else text


def interval(found: Mapping[str, float | None] | None, form: Callable[[float], str]) -> str:
    """Return an estimate with its interval of 90 %."""
    if found is None or found["estimate"] is None:
        return NOT_KNOWN
    low, high = found["low"], found["high"]
    if low == high == found["estimate"]:
        return form(found["estimate"])
    ends = (NOT_KNOWN if low is None else form(low), "later" if high is None else form(high))
    return f"{form(found['estimate'])} ({ends[0]} to {ends[1]})"


def name(subject: Mapping[str, Any]) -> str:
    """Return the name of a subject of the document."""
    if subject["kind"] == "model":
        return f"model {subject['model_name'] or 'without a name'}"
    own = str(subject["instance_name"])
    return f"{own} ({subject['model_name']})" if subject["model_name"] else own


def title(subject: Mapping[str, Any]) -> str:
    """Return the same with the number of replicas, where there are several."""
    several = subject["replicas"] > 1
    return f"{name(subject)}, {subject['replicas']} replicas" if several else name(subject)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of the document that two reports can be compared in.

    Attributes:
        name: for people.
        path: keys that lead to it in a subject.
        form: how it is written.
    """

    name: str
    path: tuple[str, ...]
    form: Callable[[float], str]

    def of(self, subject: Mapping[str, Any]) -> float | None:
        """Return the number, None where it is not known."""
        found: Any = subject
        for key in self.path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return None if found is None else float(found)

    def text(self, subject: Mapping[str, Any]) -> str:
        """Return it for people."""
        value = self.of(subject)
        return NOT_KNOWN if value is None else self.form(value)


FIGURES: Final = (
    Figure("time known", ("load", "known_share"), share),
    Figure("peak, tokens a minute", ("load", "peak", "tokens_per_minute"), count),
    Figure("95th percentile, tokens a minute", ("load", "p95_tokens_per_minute"), count),
    Figure("mean, tokens a minute", ("load", "mean_tokens_per_minute"), count),
    Figure("mean input, tokens a minute", ("load", "prompt", "mean_tokens_per_minute"), count),
    Figure("mean output, tokens a minute", ("load", "generation", "mean_tokens_per_minute"), count),
    Figure("input to output", ("load", "prompt_to_generation_ratio"), count),
    Figure("input found in the cache", ("load", "cached_prompt_share"), share),
    Figure("requests", ("load", "requests"), count),
    Figure("highest KV cache use", ("load", "kv_cache_usage_peak_ratio"), share),
    Figure("capacity, tokens a minute", ("capacity", "tokens_per_minute", "estimate"), count),
    Figure(
        "stability limit, tokens a minute",
        ("capacity", "stability_tokens_per_minute", "estimate"),
        count,
    ),
    Figure("headroom at the peak", ("headroom_at_peak", "share"), whole),
    Figure(
        "time to first token, p95", ("latencies", "time_to_first_token", "p95_seconds"), seconds
    ),
    Figure(
        "time over that target",
        ("latencies", "time_to_first_token", "share_of_time_over"),
        share,
    ),
    Figure("time between tokens, p95", ("latencies", "inter_token", "p95_seconds"), seconds),
    Figure(
        "time over that target ",
        ("latencies", "inter_token", "share_of_time_over"),
        share,
    ),
    Figure("time healthy", ("verdicts", "healthy"), share),
    Figure("growth a week", ("growth", "share_per_week", "estimate"), share),
    Figure("cost of a million tokens", ("cost", "per_million_tokens"), money),
)
"""What two engines or two windows are compared in."""
