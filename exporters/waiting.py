"""The alerts that wait for one receiver: bounded, in order, nothing in it twice."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from agent.model import Alert

MAX_WAITING: Final = 1000
"""Alerts that wait for one receiver; beyond that the oldest are dropped."""

BATCH: Final = 64
"""Alerts in one request, as Prometheus sends them."""

MAX_AGE: Final = 86_400.0
"""Seconds after which an alert that nobody took is of no use any more."""

Key: TypeAlias = tuple[str, float, bool]
"""What tells one thing to be told from another: fingerprint, beginning, whether it is the end."""

Batch: TypeAlias = Mapping[Key, Alert]


def key_of(alert: Alert) -> Key:
    """Return the key of an alert."""
    return alert.fingerprint, alert.starts_at, alert.resolved


@dataclass(slots=True)
class Waiting:
    """The queue. Its methods that drop alerts return how many they dropped."""

    alerts: dict[Key, Alert] = field(default_factory=dict)

    def put(self, alerts: Iterable[Alert]) -> int:
        """Take alerts; one that waits already is told anew in its old place."""
        self.alerts.update((key_of(alert), alert) for alert in alerts)
        return self._bound()

    def put_before(self, alerts: Iterable[Alert]) -> int:
        """Take alerts that are older than all that wait."""
        older = {key_of(alert): alert for alert in alerts}
        self.alerts = {**older, **self.alerts}
        return self._bound()

    def batch(self, most: int = BATCH) -> Batch:
        """Return the oldest, of each alert one at most: its end is told after its beginning."""
        batch: dict[Key, Alert] = {}
        seen: set[str] = set()
        for key, alert in self.alerts.items():
            if key[0] in seen or len(batch) == most:
                break
            seen.add(key[0])
            batch[key] = alert
        return batch

    def done(self, batch: Batch) -> None:
        """Forget alerts, unless they were told anew since they were handed out."""
        for key, alert in batch.items():
            if self.alerts.get(key) is alert:
                del self.alerts[key]

    def drop_old(self, time: float) -> int:
        """Give up what nobody took for a day."""
        return self._drop(
            [key for key, alert in self.alerts.items() if alert.ends_at < time - MAX_AGE]
        )

    def _bound(self) -> int:
        """Give up the oldest while there are too many."""
        excess = max(0, len(self.alerts) - MAX_WAITING)
        return self._drop([*self.alerts][:excess])

    def _drop(self, keys: Sequence[Key]) -> int:
        """Give these up."""
        for key in keys:
            del self.alerts[key]
        return len(keys)
