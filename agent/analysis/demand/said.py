"""What a forecaster says at a moment, and the samples and the JSON of that."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isinf
from typing import Any, Final, NamedTuple, TypeAlias

from agent.analysis.demand.forecaster import DemandForecaster, Foreseen, Usual
from agent.analysis.demand.maturity import Maturity
from agent.analysis.forecasts.passage import Interval
from agent.catalog import demand as catalog
from agent.model import Metric

Sample: TypeAlias = tuple[Metric, tuple[str, ...], float]

HOST: Final = ()
"""The key of all models together; that of a model is its name."""

_DAY: Final = 86_400.0


class Room(NamedTuple):
    """A capacity in tokens a minute, with 90 %."""

    low: float
    estimate: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is known of a demand; None is not known.

    Attributes:
        maturity: how much is known.
        explanation: what that allows, as a sentence.
        ahead: the demand a horizon ahead.
        usual: what it usually is now.
        growth: a week, as a share of now: low, estimate, high.
        exhaustion: seconds until the capacity is reached.
        week: usual tokens a minute by hour of the week, Monday 00:00 UTC first.
    """

    maturity: Maturity = Maturity.NONE
    explanation: str = ""
    ahead: Foreseen | None = None
    usual: Usual | None = None
    growth: tuple[float, float, float] | None = None
    exhaustion: Interval | None = None
    week: list[float] = field(default_factory=list)


def say(known: DemandForecaster, *, time: float, horizon: float, room: Room | None) -> Said:
    """Return what a forecaster says.

    Args:
        known: the forecaster.
        time: Unix seconds of now.
        horizon: seconds ahead.
        room: what can be carried; None where that is not known.
    """
    growth, week = known.growth(), known.profile()
    return Said(
        maturity=known.maturity,
        explanation=known.explanation,
        ahead=known.forecast(time, horizon),
        usual=known.band(time),
        growth=None if growth is None else growth.share,
        exhaustion=None if room is None else known.days_until(*room),
        week=[] if week is None else [float(value) for value in week],
    )


class _Metrics(NamedTuple):
    """The metrics of a model, or of the host."""

    ahead: Metric
    usual: Metric
    growth: Metric
    exhaustion: Metric
    history: Metric


_OF_MODEL: Final = _Metrics(
    catalog.MODEL_FORECAST,
    catalog.MODEL_USUAL,
    catalog.MODEL_GROWTH,
    catalog.MODEL_EXHAUSTION,
    catalog.MODEL_HISTORY,
)
_OF_HOST: Final = _Metrics(
    catalog.HOST_FORECAST,
    catalog.HOST_USUAL,
    catalog.HOST_GROWTH,
    catalog.HOST_EXHAUSTION,
    catalog.HOST_HISTORY,
)


def samples(said: Said, key: tuple[str, ...]) -> Iterator[Sample]:
    """Yield the samples of what was said.

    Args:
        said: what.
        key: name of the model, or `HOST`.
    """
    of = _OF_MODEL if key else _OF_HOST
    for maturity in Maturity:
        yield of.history, (*key, maturity.value), float(maturity is said.maturity)
    if said.ahead is not None:
        for bound in ("low", "estimate", "high"):
            yield of.ahead, (*key, bound), getattr(said.ahead, bound)
    if said.usual is not None:
        yield of.usual, (*key, "low"), said.usual.low
        yield of.usual, (*key, "high"), said.usual.high
    if said.growth is not None:
        for bound, value in zip(("low", "estimate", "high"), said.growth, strict=True):
            yield of.growth, (*key, bound), value
    if said.exhaustion is not None:
        for bound in ("low", "estimate", "high"):
            value = getattr(said.exhaustion, bound)
            if not isinf(value):
                yield of.exhaustion, (*key, bound), value


def as_json(said: Said) -> dict[str, Any]:
    """Return what was said, with units in the names; null is not known."""
    ahead, usual, growth, end = said.ahead, said.usual, said.growth, said.exhaustion
    return {
        "history": said.maturity.value,
        "explanation": said.explanation,
        "forecast_tokens_per_minute": None if ahead is None else ahead._asdict(),
        "usual_tokens_per_minute": usual and {"low": usual.low, "high": usual.high},
        "growth_per_week_ratio": growth
        and dict(zip(("low", "estimate", "high"), growth, strict=True)),
        "days_until_exhausted": end
        and {
            "low": end.low / _DAY,
            "estimate": end.estimate / _DAY,
            "high": None if isinf(end.high) else end.high / _DAY,
        },
        "week_tokens_per_minute": said.week or None,
    }
