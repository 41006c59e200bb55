"""Delivery of alerts to one receiver: at least once, in order, delaying nobody.

    put ──► waiting (bounded) ──► send ──► done
                 ▲   │              │ fails
      spool ─────┘   └──► spool ◄───┘ wait with backoff and jitter, try again

Whoever has alerts only puts them; one task for each receiver does the rest. An alert that is told
again while its last telling still waits takes the place of that; the end of an alert never takes
the place of its beginning. A receiver that is to hear of each thing once is not told again of what
it has taken, also after a restart.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.model import Alert, Clock, SourceError
from exporters.alert_json import alert_as_json, alert_from_json
from exporters.spool import Spool
from exporters.told import Told
from exporters.waiting import BATCH, Batch, Waiting, key_of

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 60.0


class RefusedError(SourceError):
    """The receiver will not take these alerts, however often it is asked."""


@dataclass(slots=True)
class Counts:
    """What became of the alerts for one receiver.

    Attributes:
        delivered: taken by the receiver.
        failures: requests that failed and are tried again.
        refused: alerts that the receiver would not take.
        dropped: alerts given up for want of room, for their age, or damaged on disk.
        waiting: alerts that wait now.
        up: whether the last request succeeded; None before the first.
    """

    delivered: int = 0
    failures: int = 0
    refused: int = 0
    dropped: int = 0
    waiting: int = 0
    up: bool | None = None


Send = Callable[[Sequence[Alert]], Awaitable[object]]


class Delivery:
    """Brings alerts to one receiver.

    Args:
        name: of the receiver, for the log.
        send: makes one request; raises RefusedError, or anything else to be tried again.
        timeout: seconds that a request may take.
        clock: for waiting and for the age of alerts.
        random: gives numbers from 0 to 1, for the jitter.
        spool: where alerts wait over a restart; None for nowhere.
        batch: alerts in one request at most.
        once: what the receiver has taken, if it is to hear of each thing once; fresh.
        told: called with the name, what is wrong (or nothing), and the time.
    """

    def __init__(
        self,
        name: str,
        send: Send,
        *,
        timeout: float,
        clock: Clock,
        random: Callable[[], float],
        spool: Spool | None = None,
        batch: int = BATCH,
        once: Told | None = None,
        told: Callable[[str, str, float], None] = lambda _name, _error, _time: None,
    ) -> None:
        self.name = name
        self.counts = Counts()
        self._send = send
        self._timeout = timeout
        self._clock = clock
        self._random = random
        self._spool = spool
        self._batch = batch
        self._once = once
        self._told = told
        self._waiting = Waiting()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unsaved = False
        self._spooled = False
        self._loaded = spool is None

    def start(self) -> None:
        """Begin to deliver; needs a running event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"delivery to {self.name}")

    def put(self, alerts: Sequence[Alert]) -> None:
        """Take alerts over; returns at once."""
        if self._once is not None:
            alerts = self._once.news(alerts, self._clock.time())
            if not alerts:
                return
        self._dropped(self._waiting.put(alerts))
        self._unsaved = True
        self._wake.set()

    async def aclose(self) -> None:
        """Stop; what waits goes to the spool. Safe to call twice."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if not self._loaded:  # what waits on disk is not to be written over
            await self._load()
        self._unsaved = True
        await self._save()

    async def _run(self) -> None:
        """Deliver until cancelled."""
        await self._load()
        failed = 0
        while True:
            if not self._waiting.alerts:
                # Before the disk is waited for: what is put meanwhile has woken it already.
                self._wake.clear()
                await self._save()
                await self._wake.wait()
            if await self._deliver():
                failed = 0
                continue
            failed += 1
            await self._save()
            wait = min(_FIRST_WAIT * 2 ** min(failed - 1, 10), _LONGEST_WAIT)
            await self._clock.sleep(wait * (0.5 + self._random() / 2))

    async def _deliver(self) -> bool:
        """Make one request and return whether there is no reason to wait before the next."""
        self._dropped(self._waiting.drop_old(self._clock.time()))
        batch = self._waiting.batch(self._batch)
        if not batch:
            return True
        error = await self._try(batch)
        if isinstance(error, RefusedError):
            if len(batch) > 1:  # which of them is it?
                return await self._one_by_one(batch)
            self.counts.refused += 1
            self._told(self.name, f"alert refused: {error}", self._clock.time())
            self._done(batch)
        elif error is None:
            self._taken(batch)
        return error is None or isinstance(error, RefusedError)

    async def _one_by_one(self, batch: Batch) -> bool:
        """Find out which alerts of a batch are refused; return whether to go on at once."""
        for key, alert in batch.items():
            error = await self._try({key: alert})
            if isinstance(error, RefusedError):
                self.counts.refused += 1
                name = alert.labels.get("alertname", "?")
                self._told(self.name, f"alert {name} refused: {error}", self._clock.time())
                self._done({key: alert})
            elif error is None:
                self._taken({key: alert})
            else:
                return False
        return True

    async def _try(self, batch: Batch) -> Exception | None:
        """Make one request and return what went wrong."""
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                await self._send([*batch.values()])
        except RefusedError as error:
            self.counts.up = True
            return error
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            said = str(error) or type(error).__name__
            if isinstance(error, TimeoutError) and limit.expired():
                said = f"gave no answer within {self._timeout:g}s"
            self.counts.failures += 1
            self.counts.up = False
            self._told(self.name, said, self._clock.time())
            return error
        return None

    def _taken(self, batch: Batch) -> None:
        """Take note of a request that succeeded."""
        self.counts.delivered += len(batch)
        self.counts.up = True
        self._told(self.name, "", self._clock.time())
        if self._once is not None:
            self._once.took(batch, self._clock.time())
            self._news_only()
        self._done(batch)

    def _news_only(self) -> None:
        """Forget what waits and was taken already: it was told anew meanwhile."""
        if self._once is not None:
            waiting = [*self._waiting.alerts.values()]
            fresh = self._once.news(waiting, self._clock.time())
            self._waiting.alerts = {key_of(alert): alert for alert in fresh}

    def _done(self, batch: Batch) -> None:
        """Forget alerts, unless they were told anew while the request was under way."""
        self._waiting.done(batch)
        self.counts.waiting = len(self._waiting.alerts)
        self._unsaved = True

    def _dropped(self, count: int) -> None:
        """Take note of alerts that were given up."""
        self.counts.dropped += count
        self.counts.waiting = len(self._waiting.alerts)

    async def _load(self) -> None:
        """Take up what waited when the agent ended; it is older than what came since."""
        if self._spool is None:
            return
        try:
            loaded = await asyncio.to_thread(self._spool.load)
        except OSError as error:
            self._loaded = True
            self._say_spool(error)
            return
        self._loaded = True
        self._spooled = bool(loaded.items)
        items = [item for item in loaded.items if not self._take_up(item)]
        alerts = [alert_from_json(item) for item in items]
        good = [alert for alert in alerts if alert is not None]
        self._dropped(loaded.damaged + len(alerts) - len(good))
        self._dropped(self._waiting.put_before(good))
        self._news_only()
        self.counts.waiting = len(self._waiting.alerts)

    def _take_up(self, item: dict[str, Any]) -> bool:
        """Take up what the receiver was told by the run before; return whether it is that."""
        return self._once is not None and self._once.take_up(item)

    async def _save(self) -> None:
        """Bring the spool up to what waits."""
        spool = self._spool
        if spool is None or not self._unsaved:
            return
        # What was told goes before what is to be told: the first are left out for want of room.
        items = [] if self._once is None else self._once.as_json()
        items += [alert_as_json(alert) for alert in self._waiting.alerts.values()]
        if not items and not self._spooled:
            return
        self._unsaved = False
        try:
            # The file is small; cancelled, the thread finishes it all the same.
            left_out = await asyncio.to_thread(spool.save, items)
        except OSError as error:
            self._unsaved = True
            self._say_spool(error)
            return
        self._spooled = len(items) > left_out

    def _say_spool(self, error: OSError) -> None:
        """Say that alerts would not survive a restart."""
        said = f"the spool cannot be used: {error.strerror or error}"
        self._told(f"{self.name} spool", said, self._clock.time())
