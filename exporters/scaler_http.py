"""The scaler over HTTP, for KEDA's `metrics-api` and whatever else reads JSON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from agent.config import Listen
from agent.model import ConfigError

_NO_STORE: Final = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalerViews:
    """What the endpoint asks of the scaler.

    Attributes:
        model: what is told of a model by its name; None where nothing true is known.
        models: names of all models that were ever seen.
        problem: why nothing is known, empty while Prometheus answers.
        missing: what is not in its last answer, empty while that is whole.
    """

    model: Callable[[str], Mapping[str, Any] | None]
    models: Callable[[], Sequence[str]]
    problem: Callable[[], str]
    missing: Callable[[], str]


class ScalerHttp:
    """Serves what is told of the models."""

    def __init__(self, views: ScalerViews) -> None:
        self._views = views
        self._runner: web.AppRunner | None = None

    def application(self) -> web.Application:
        """Return the routes, for a server or a test client."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/api/v1/models", self._models),
                web.get("/api/v1/models/{name:.+}/replicas", self._replicas),
                web.get("/-/healthy", self._healthy),
                web.get("/-/ready", self._ready),
            ]
        )
        return application

    async def listen(self, address: Listen) -> None:
        """Listen at an address.

        Raises:
            ConfigError: it cannot be had.
        """
        self._runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, address.host or None, address.port).start()
        except OSError as error:
            why = error.strerror or error
            raise ConfigError(f"cannot listen on {address}: {why}") from error

    async def aclose(self) -> None:
        """Stop listening; safe to call twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _models(self, _request: web.Request) -> web.Response:
        """All models of which something true is known."""
        names = self._views.models()
        told = [one for name in names if (one := self._views.model(name)) is not None]
        if not told:
            return self._unavailable("no model is served by a replica that is known")
        return web.json_response({"models": told}, headers=_NO_STORE)

    async def _replicas(self, request: web.Request) -> web.Response:
        """One model; `valueLocation: replicas` has KEDA read the number."""
        name = request.match_info["name"]
        told = self._views.model(name)
        if told is not None:
            return web.json_response(told, headers=_NO_STORE)
        known = self._views.models()
        if name in known or not known or self._views.missing():
            return self._unavailable(f"nothing that is young enough is known of {name!r}")
        there = ", ".join(known)
        return web.Response(status=404, text=f"no model is named {name!r}; there are: {there}\n")

    async def _healthy(self, _request: web.Request) -> web.Response:
        """Whether the process answers."""
        return web.Response(text="healthy\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        """Whether Prometheus answers."""
        problem = self._views.problem()
        return self._unavailable(problem) if problem else web.Response(text="ready\n")

    def _unavailable(self, why: str) -> web.Response:
        """Answer that nothing true can be told."""
        problem = self._views.problem() or self._views.missing()
        text = f"{why}: {problem}\n" if problem and problem != why else f"{why}\n"
        return web.Response(status=503, text=text, headers=_NO_STORE)
