"""Everyone who is told of alerts: each has a queue, a task and a spool of its own."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
    """The way to one receiver. Two are equal where only their senders differ.

    Attributes:
        kind: the key of the configuration below which it stands.
        name: of the receiver, unique among all.
        url: its address, for messages.
        sender: speaks to it.
        made_of: the settings that the sender was made of.
        timeout: seconds that a request may take.
        spool_size: bytes that its spool may have.
        batch: alerts in one request at most.
        repeat: seconds after which it hears again of what fires on; None for one that is to be
            told as often as the rules say, such as Alertmanager.
    """

    kind: str
    name: str
    url: str
    sender: Sender = field(compare=False)
    made_of: object
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
        self._clock = clock
        self._random = random
        self._folder = folder
        self._told = told
        self._ways = [(channel, self._delivery(channel)) for channel in channels]

    def _delivery(self, channel: Channel) -> Delivery:
        """Return what brings alerts to one receiver."""
        return Delivery(
            f"{channel.kind} {channel.name}",
            channel.sender.send,
            timeout=channel.timeout,
            clock=self._clock,
            random=self._random,
            spool=None if self._folder is None else _spool(channel, self._folder),
            batch=channel.batch,
            once=None if channel.repeat is None else Told(channel.repeat),
            told=self._told,
        )

    async def use(self, channels: Sequence[Channel]) -> None:
        """Go on with these receivers; those that stay as they are are not disturbed.

        What waits for one whose address or credentials are others is brought there: its spool
        has the same name.
        """
        gone = [way for way in self._ways if way[0] not in channels]
        self._ways = [way for way in self._ways if way[0] in channels]
        await _close(gone)
        known = [channel for channel, _delivery in self._ways]
        self._ways = [
            self._ways[known.index(channel)]
            if channel in known
            else (channel, self._delivery(channel))
            for channel in channels
        ]

    async def publish(self, frame: Frame) -> None:
        """Hand the alerts of a frame to every receiver's task."""
        for _channel, delivery in self._ways:
            delivery.start()
            if frame.alerts:
                delivery.put(frame.alerts)

    def reading(self) -> Reading:
        """Return the samples about the delivery."""
        ids: list[int] = []
        values: list[float] = []
        for channel, delivery in self._ways:
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
        await _close(self._ways)


async def _close(ways: Sequence[tuple[Channel, Delivery]]) -> None:
    """Stop these deliveries; safe to call twice."""
    await asyncio.gather(*(delivery.aclose() for _channel, delivery in ways))
    await asyncio.gather(*(channel.sender.aclose() for channel, _delivery in ways))


def _spool(channel: Channel, folder: Path) -> Spool:
    """Return where alerts for a receiver wait."""
    return Spool(folder / f"{channel.kind}-{channel.name}.spool", max_size=channel.spool_size)
