"""Everyone who is told of alerts: each has a queue, a task and a spool of its own."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.catalog import alerts as catalog
from agent.model import Alert, Clock, Frame, Reading, SeriesTable
from exporters.delivery import Delivery
from exporters.spool import Spool
from exporters.told import Told
from exporters.waiting import BATCH


class Sender(Protocol):
    """Speaks to one receiver."""

    async def send(self, alerts: Sequence[Alert]) -> str:
        """Tell it and return what it answered.

        Raises:
            RefusedError: it will not take these alerts.
            SourceError: it could not be told, for any other reason; the message says which.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The way to one receiver.

    Attributes:
        kind: the key of the configuration below which it stands.
        name: of the receiver, unique among all.
        url: its address, for messages.
        sender: speaks to it.
        timeout: seconds that a request may take.
        spool_size: bytes that its spool may have.
        batch: alerts in one request at most.
        repeat: seconds after which it hears again of what fires on; None for one that is to be
            told as often as the rules say, such as Alertmanager.
    """

    kind: str
    name: str
    url: str
    sender: Sender
    timeout: float
    spool_size: int
    batch: int = BATCH
    repeat: float | None = None


class Receivers:
    """Tells every receiver of every alert; an `Exporter`. Its tasks begin with the first frame.

    Args:
        channels: the receivers.
        table: of the run, for the samples that it gives about itself.
        clock: for waiting.
        random: gives numbers from 0 to 1.
        folder: where alerts wait over a restart; None for nowhere.
        told: called with `KIND NAME`, what is wrong (or nothing), and the time.
    """

    name = "receivers"

    def __init__(
        self,
        channels: Sequence[Channel],
        *,
        table: SeriesTable,
        clock: Clock,
        random: Callable[[], float],
        folder: Path | None = None,
        told: Callable[[str, str, float], None] = lambda _name, _error, _time: None,
    ) -> None:
        self._table = table
        self._channels = channels
        self._deliveries = [
            Delivery(
                f"{channel.kind} {channel.name}",
                channel.sender.send,
                timeout=channel.timeout,
                clock=clock,
                random=random,
                spool=None if folder is None else _spool(channel, folder),
                batch=channel.batch,
                once=None if channel.repeat is None else Told(channel.repeat),
                told=told,
            )
            for channel in channels
        ]

    async def publish(self, frame: Frame) -> None:
        """Hand the alerts of a frame to every receiver's task."""
        for delivery in self._deliveries:
            delivery.start()
            if frame.alerts:
                delivery.put(frame.alerts)

    def reading(self) -> Reading:
        """Return the samples about the delivery."""
        ids: list[int] = []
        values: list[float] = []
        for channel, delivery in zip(self._channels, self._deliveries, strict=True):
            counts = delivery.counts
            said = [
                (catalog.DELIVERED, counts.delivered),
                (catalog.DELIVERY_FAILURES, counts.failures),
                (catalog.REFUSED, counts.refused),
                (catalog.DROPPED, counts.dropped),
                (catalog.WAITING, counts.waiting),
                (catalog.RECEIVER_UP, counts.up),
            ]
            for metric, value in said:
                if value is not None:
                    ids.append(self._table.intern(metric, (channel.name,)))
                    values.append(float(value))
        return Reading(ids, values)

    async def aclose(self) -> None:
        """Stop; what waits goes to the spool. Safe to call twice."""
        await asyncio.gather(*(delivery.aclose() for delivery in self._deliveries))
        await asyncio.gather(*(channel.sender.aclose() for channel in self._channels))


def _spool(channel: Channel, folder: Path) -> Spool:
    """Return where alerts for a receiver wait."""
    return Spool(folder / f"{channel.kind}-{channel.name}.spool", max_size=channel.spool_size)
