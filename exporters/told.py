"""What a receiver has taken already, for those that are to hear of each thing once.

Alertmanager takes an alert for resolved that is not told again and again. Others keep what they
were told, and start a workflow or notify somebody at each telling.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agent.model import Alert
from exporters.waiting import Key, key_of

MAX_TOLD: Final = 4000
"""Tellings that are remembered for one receiver; of those beyond it hears again."""

# The end of an alert is offered for 15 minutes.
_ENDS: Final = 3600.0


@dataclass(slots=True)
class Told:
    """The tellings that were taken, and when.

    Attributes:
        repeat: seconds after which the receiver hears again of an alert that fires on.
    """

    repeat: float
    _at: dict[Key, float] = field(default_factory=dict)

    def news(self, alerts: Iterable[Alert], time: float) -> list[Alert]:
        """Return those alerts of which the receiver is to hear at a time in Unix seconds."""
        return [alert for alert in alerts if not self._known(key_of(alert), time)]

    def _known(self, key: Key, time: float) -> bool:
        """Return whether a telling is remembered, and not too old or of a time to come."""
        at = self._at.get(key)
        return at is not None and 0 <= time - at < self._lasts(key)

    def _lasts(self, key: Key) -> float:
        """Return the seconds for which a telling counts; an end is never repeated."""
        return max(self.repeat, _ENDS) if key[2] else self.repeat

    def took(self, keys: Iterable[Key], time: float) -> None:
        """Take note that the receiver has taken alerts; forget what is of no use any more."""
        for key in keys:
            self._at.pop(key, None)
            self._at[key] = time
        old = [key for key in self._at if not self._known(key, time)]
        for key in old:
            del self._at[key]
        for key in [*self._at][: max(0, len(self._at) - MAX_TOLD)]:
            del self._at[key]

    def as_json(self) -> list[dict[str, Any]]:
        """Return the tellings as values that JSON has, the oldest first."""
        return [{"told": list(key), "at": at} for key, at in self._at.items()]

    def take_up(self, item: Mapping[str, Any]) -> bool:
        """Take up one item of `as_json`; return whether it makes sense."""
        try:
            fingerprint, starts_at, resolved = item["told"]
            key = (str(fingerprint), float(starts_at), bool(resolved))
            self._at.setdefault(key, float(item["at"]))
        except (LookupError, TypeError, ValueError):
            return False
        return True
