"""The process that says how many replicas each model needs, from what a Prometheus knows."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from agent.analysis.guard import reason_of
from agent.analysis.signals.fleet import FleetTerms
from agent.analysis.signals.models import Models, as_json
from agent.app.common import signals
from agent.app.prometheus import Prometheus
from agent.config import Listen, Settings
from agent.model import Clock, SourceError
from exporters.scaler_http import ScalerHttp, ScalerViews


def terms_by_model(settings: Settings) -> Callable[[str], FleetTerms]:
    """Return the terms of a model by its name."""
    told = settings.scaler
    bounds = {one.model_name: one for one in told.models}

    def terms(model_name: str) -> FleetTerms:
        own = bounds.get(model_name)
        return FleetTerms(
            target=told.target,
            surge_target=told.surge_target,
            margin=told.margin,
            queue_wait=told.queue_wait,
            horizon=settings.capacity.horizon,
            scale_out_after=told.scale_out_after,
            scale_in_after=told.scale_in_after,
            least=(own and own.least) or told.least,
            most=(own and own.most) or told.most,
        )

    return terms


class Scaler:
    """Asks a Prometheus again and again, and answers autoscalers.

    Args:
        url: of the Prometheus.
        settings: how.
        clock: for ages, and for waiting.
    """

    def __init__(self, url: str, settings: Settings, *, clock: Clock) -> None:
        self._settings = settings.scaler
        self._prometheus = Prometheus(url, settings.scaler)
        self._clock = clock
        self._models = Models(terms_by_model(settings), stale_after=settings.scaler.stale_after)
        self._problem: str | None = "Prometheus was not asked yet"
        self._missing = ""
        self._log = structlog.get_logger()

    async def run(self, *, listen: Listen, grpc: str | None) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            ConfigError: an address cannot be had, or gRPC is asked for and not installed.
        """
        http = ScalerHttp(self.views())
        stop = asyncio.Event()
        asking: asyncio.Task[None] | None = None
        keda = self._keda() if grpc else None
        with signals(stop.set, lambda: None):
            try:
                await http.listen(listen)
                if keda is not None and grpc:
                    await keda.listen(grpc)
                self._log.info("inferwatch scaler answers", listen=str(listen), grpc=grpc or "")
                asking = asyncio.create_task(self._ask())
                await stop.wait()
            finally:
                if asking is not None:
                    asking.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await asking
                if keda is not None:
                    await keda.aclose()
                await http.aclose()
                await self._prometheus.aclose()

    async def look(self) -> None:
        """Ask once; what is wrong is told once, in the log and to those who ask."""
        try:
            seen = await self._prometheus.samples()
        except SourceError as error:
            self._fail("Prometheus does not tell", str(error))
            return
        try:
            self._models.observe(self._clock.time(), seen.samples, missing=seen.missing)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may go well
            self._fail("what Prometheus tells cannot be worked out", reason_of(error))
            return
        if self._problem:
            self._log.info("Prometheus tells", series=len(seen.samples))
        self._problem = ""
        missing = "; ".join(seen.missing)
        if missing and not self._missing:
            self._log.warning("Prometheus does not answer in full: no fewer replicas", why=missing)
        elif self._missing and not missing:
            self._log.info("Prometheus answers in full again")
        self._missing = missing

    def _fail(self, what: str, reason: str) -> None:
        """Tell of a look that came to nothing, unless the one before did for the same reason."""
        if reason != self._problem:
            self._log.warning(what, reason=reason)
        self._problem = reason

    def views(self) -> ScalerViews:
        """Return what the HTTP endpoint may ask."""
        return ScalerViews(
            model=self._told,
            models=self._models.names,
            problem=lambda: self._problem or "",
            missing=lambda: self._missing,
        )

    def needed(self, model_name: str) -> float | None:
        """Return how many replicas a model needs, None where nothing true is known."""
        told = self._models.told(model_name, time=self._clock.time())
        return None if told is None else float(told.need.replicas)

    def _told(self, model_name: str) -> Mapping[str, Any] | None:
        """Return what is told of a model."""
        now = self._clock.time()
        told = self._models.told(model_name, time=now)
        return None if told is None else as_json(model_name, told, time=now)

    async def _ask(self) -> None:
        """Ask again and again."""
        while True:
            await self.look()
            await asyncio.sleep(self._settings.interval)

    def _keda(self) -> Any:
        """Return the gRPC server, whose libraries nobody else needs."""
        from exporters.keda import KedaServer

        return KedaServer(
            self.needed,
            problem=lambda: self._problem or self._missing,
            interval=self._settings.interval,
        )
