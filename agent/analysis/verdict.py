"""The verdict on one replica: it changes only for what lasts, and each change is dated."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from agent.analysis import advice
from agent.catalog.verdict import Cause
from agent.model import Event

HOLD: Final = 3.0
"""Seconds for which another cause must be found before it is believed."""

REMEMBERED: Final = 64
"""Past regimes that are kept, whatever their age."""

KEPT_FOR: Final = 24 * 3600.0
"""Seconds after whose end a regime says nothing about the engine of now."""

_AT_ONCE: Final = frozenset({Cause.IDLE, Cause.STALLED, Cause.UNKNOWN})
"""What was looked at for long enough before it is found at all."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What holds a replica back; put into words when somebody asks.

    Attributes:
        cause: in one word.
        since: Unix seconds.
        because: what is said where there are no facts.
        facts: what it was found from.
    """

    cause: Cause
    since: float
    because: str = ""
    facts: advice.Facts | None = None

    @classmethod
    def of(cls, facts: advice.Facts, since: float) -> "Verdict":
        """Return the verdict of a finding."""
        return cls(facts.finding.cause, since, facts=facts)

    @property
    def sentence(self) -> str:
        """With the numbers."""
        return self.because if self.facts is None else advice.sentence(self.facts)

    @property
    def suggestion(self) -> str:
        """What would change it; empty where nothing should."""
        return "" if self.facts is None else advice.suggestion(self.facts)

    @property
    def numbers(self) -> Mapping[str, float]:
        """The evidence, by name with unit."""
        return {} if self.facts is None else advice.numbers(self.facts)


@dataclass(frozen=True, slots=True)
class Regime:
    """A stretch of one cause; `end` is None for the present one.

    Attributes:
        sentence: with the numbers by which it was found.
    """

    cause: Cause
    start: float
    end: float | None
    sentence: str


class Regimes:
    """Turns findings into a verdict that does not flicker, and keeps the past ones."""

    def __init__(self) -> None:
        self._cause: Cause | None = None
        self._since = 0.0
        self._sentence = ""
        self._other: tuple[Cause, float] | None = None
        self._past: deque[Regime] = deque(maxlen=REMEMBERED)

    def take(self, time: float, cause: Cause, sentence: Callable[[], str]) -> bool:
        """Take a finding; return whether the verdict changed by it."""
        self._forget(time)
        if cause is self._cause:
            self._other = None
            return False
        if self._other is None or self._other[0] is not cause or self._other[1] > time:
            self._other = (cause, time)
        first = self._cause is None or self._cause is Cause.UNKNOWN
        if not first and cause not in _AT_ONCE and time - self._other[1] < HOLD:
            return False
        begun = self._other[1]
        if self._cause is not None:
            self._past.append(Regime(self._cause, self._since, begun, self._sentence))
        self._cause, self._since, self._sentence, self._other = cause, begun, sentence(), None
        return True

    def _forget(self, time: float) -> None:
        """Drop regimes that ended a day ago, or as far ahead: the clock was set back since."""
        while self._past and abs(time - (self._past[0].end or 0.0)) > KEPT_FOR:
            self._past.popleft()

    @property
    def cause(self) -> Cause:
        """The present cause."""
        return self._cause or Cause.UNKNOWN

    @property
    def since(self) -> float:
        """Unix seconds at which the present cause was first found."""
        return self._since

    def regimes(self) -> list[Regime]:
        """Return the past regimes and the present one, oldest first."""
        if self._cause is None:
            return [*self._past]
        return [*self._past, Regime(self._cause, self._since, None, self._sentence)]


def changed(verdict: Verdict, before: Cause, labels: Mapping[str, str], *, time: float) -> Event:
    """Return the event of a change of regime."""
    return Event(
        time=time,
        kind="verdict_changed",
        source="analysis",
        labels={**labels, "cause": verdict.cause.value, "before": before.value},
        message=f"{labels['instance_name']}: {before} → {verdict.cause}: {verdict.sentence}",
    )
