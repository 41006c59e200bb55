"""Has the season of demand begin with what the history holds of the time before this run.

The season is made of the history instead of being saved beside it: there is one truth, and it is
kept for as long as the settings say. Reading some months takes seconds of CPU; they are spent in a
thread that rests three times as long as it works, a day of history at a time.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from agent.analysis.demand.forecaster import DemandForecaster
from agent.analysis.demand.host import Demands, Key
from agent.app.past_demand import learned
from agent.aside import Aside
from agent.look import reason
from agent.model import Clock, Frame
from agent.store.database import NoHistoryError
from agent.store.reader import HistoryReader
from agent.store.target import Target

_REST: Final = 3.0  # times as long as work took


class DemandHistory:
    """Reads the history whenever demands ask for it; an exporter like any other.

    Args:
        demands: that learn.
        path: of the history.
        target: see `HistoryReader`.
        clock: measures how long to rest.
        told: called with a sentence for the log.
    """

    name = "demand"

    def __init__(
        self,
        demands: Demands,
        path: Path,
        *,
        target: Target,
        clock: Clock,
        told: Callable[[str], None],
    ) -> None:
        self._demands = demands
        demands.expect_history()
        self._path = path
        self._target = target
        self._clock = clock
        self._told = told
        self._aside = Aside("demand history")
        self._ended = threading.Event()
        self._reading: asyncio.Task[None] | None = None

    async def publish(self, frame: Frame) -> None:
        """Begin to read, if that is asked for."""
        if self._demands.unread and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read(frame.time))

    async def aclose(self) -> None:
        """Give up reading; safe to call twice."""
        self._ended.set()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

    async def _read(self, time: float) -> None:
        """Read, and hand over what was learned; without a history, nothing."""
        known: Mapping[Key, DemandForecaster] = {}
        try:
            known = await self._aside.do(lambda: self._learned(time))
        except NoHistoryError:
            pass
        except Exception as error:  # noqa: BLE001 - unread, it would be read again at each tick
            self._told(f"the season of demand begins anew: {reason(error)}")
        self._demands.adopt(known)

    def _learned(self, time: float) -> Mapping[Key, DemandForecaster]:
        """Return what the history tells up to a moment; nothing if the agent ends meanwhile."""
        with contextlib.closing(HistoryReader(self._path, self._target)) as reader:
            steps = learned(reader, time=time, horizon=self._demands.horizon)
            while True:
                begun = self._clock.monotonic()
                try:
                    next(steps)
                except StopIteration as end:
                    known: Mapping[Key, DemandForecaster] = end.value
                    return known
                if self._ended.wait(_REST * (self._clock.monotonic() - begun)):
                    return {}
