"""Which alerts come and go all the time, found the way Nagios does it.

Nagios looks at the last 21 results of a check: the share of the 20 steps between them at which the
state changed, the newest step weighted with 1.2 and the oldest with 0.8. Above an upper threshold
the state flaps, until it is below a lower one. Rules are evaluated every second, so here a step is
a minute, and it counts if the alert began to fire or was resolved in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agent.store.series import Labels

STEPS: Final = 20
STEP: Final = 60.0
"""Seconds."""

BEGINS: Final = 0.3
ENDS: Final = 0.2
"""The thresholds, shares of change: those that Nagios has for services by default."""

_OLDEST: Final = 0.8
_NEWEST: Final = 1.2


def weight(age: int) -> float:
    """Return what a change counts, by its age in steps: 0 for the newest, of `STEPS`."""
    return _NEWEST - (_NEWEST - _OLDEST) * age / (STEPS - 1)


@dataclass(slots=True)
class Changes:
    """When one alert changed its state.

    Attributes:
        steps: numbers of the steps in which it did, counted from 1970.
        flapping: whether it flaps.
    """

    steps: set[int] = field(default_factory=set)
    flapping: bool = False

    def advance(self, now: int) -> float:
        """Go on to a step and return the share of change, from 0 to 1."""
        self.steps = {step for step in self.steps if 0 <= now - step < STEPS}
        share = sum(weight(now - step) for step in self.steps) / STEPS
        self.flapping = share >= ENDS if self.flapping else share > BEGINS
        return share


class Flapping:
    """The alerts that began or ended within the last minutes; the others do not flap."""

    def __init__(self) -> None:
        self._alerts: dict[Labels, Changes] = {}
        self._shares: dict[Labels, float] = {}
        self._by_name: dict[str, tuple[float, int]] = {}
        self._step: int | None = None

    def changed(self, labels: Labels, time: float) -> None:
        """Take note that an alert began to fire or was resolved, at Unix seconds."""
        step = _step(time)
        changes = self._alerts.setdefault(labels, Changes())
        if step not in changes.steps:
            changes.steps.add(step)
            self._step = None

    def advance(self, time: float) -> None:
        """Go on to a time; of an alert that has not changed for long nothing is kept."""
        now = _step(time)
        if now == self._step:
            return
        self._step = now
        self._shares = {labels: one.advance(now) for labels, one in self._alerts.items()}
        for labels in [labels for labels, one in self._alerts.items() if not one.steps]:
            del self._alerts[labels], self._shares[labels]
        self._sum_up()

    def note(self, labels: Labels) -> str:
        """Return what people are told of an alert that flaps; nothing of another."""
        changes = self._alerts.get(labels)
        if changes is None or not changes.flapping:
            return ""
        return (
            f"began or ended in {len(changes.steps)} of the last {STEPS} minutes, "
            f"weighted {self._shares.get(labels, 0.0):.0%}"
        )

    def by_name(self) -> Mapping[str, tuple[float, int]]:
        """Return of alerts that changed, by name, the largest share of change and how many flap.

        As of the last call of `advance` or `restore`.
        """
        return self._by_name

    def as_json(self) -> list[dict[str, Any]]:
        """Return all that is known, for `restore`."""
        return [
            {"labels": dict(labels), "steps": sorted(one.steps), "flapping": one.flapping}
            for labels, one in self._alerts.items()
        ]

    def restore(self, saved: Any) -> None:
        """Take up what `as_json` gave; what makes no sense is left out."""
        for item in saved if isinstance(saved, list) else ():
            try:
                labels = _labels(item["labels"])
                steps = {int(step) for step in item["steps"]}
                flapping = bool(item["flapping"])
            except (LookupError, AttributeError, TypeError, ValueError, OverflowError):
                continue
            self._alerts.setdefault(labels, Changes(steps, flapping))
        self._step = None
        self._sum_up()

    def _sum_up(self) -> None:
        """Take note of what is asked at each tick, and changes once a minute."""
        self._by_name = {}
        for labels, one in self._alerts.items():
            name = dict(labels).get("alertname", "")
            share, flaps = self._by_name.get(name, (0.0, 0))
            share = max(share, self._shares.get(labels, 0.0))
            self._by_name[name] = (share, flaps + one.flapping)


def _step(time: float) -> int:
    """Return the number of the step that a time is in."""
    return int(time // STEP)


def _labels(pairs: Mapping[str, Any]) -> Labels:
    """Return labels as they are kept."""
    return tuple(sorted((str(name), str(value)) for name, value in pairs.items()))
