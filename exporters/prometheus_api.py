"""The Prometheus HTTP API: the same addresses, parameters, JSON and errors.

What needs samples is asked of a process beside the agent; it may take its time. Rules, alerts,
targets and metadata are at hand.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from aiohttp import web
from multidict import MultiDict

from agent.config.values import is_loopback
from agent.queries.asked import TOO_MANY_POINTS, Asked, Kind, NoAnswerError, Trouble
from exporters.prometheus import TEXT, accepts_gzip
from exporters.prometheus_body import Body, send
from exporters.prometheus_params import Parameters, refused

VERSION: Final = "3.0.0"
"""Of the Prometheus whose semantics and parameters these are, for clients that ask."""

_STATUS: Final = {
    Trouble.BAD_DATA: 400,
    Trouble.EXECUTION: 422,
    Trouble.TIMEOUT: 503,
    Trouble.CANCELED: 499,
    Trouble.INTERNAL: 500,
    Trouble.NOT_FOUND: 404,
    Trouble.UNAVAILABLE: 503,
}
_AGAIN: Final = {"Retry-After": "1"}
_FORM: Final = "application/x-www-form-urlencoded"


class Answer(Protocol):
    """Answers questions about samples."""

    async def __call__(
        self, asked: Asked, *, patience: float | None, listens: Callable[[], bool]
    ) -> Body:
        """Return the answer.

        Args:
            asked: the question.
            patience: seconds after which it is given up, None for the usual.
            listens: whether somebody waits for it.

        Raises:
            NoAnswerError: there is none.
        """
        ...


@dataclass(frozen=True, slots=True)
class Described:
    """A metric that is on the page."""

    name: str
    type: str
    help: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the API asks of the agent.

    Attributes:
        answer: answers questions about samples.
        now: Unix seconds.
        rules: the groups of rules, as JSON takes them.
        targets: what is watched, likewise.
        metadata: the metrics on the page.
        version: of the agent.
    """

    answer: Answer
    now: Callable[[], float]
    rules: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]
    targets: Callable[[], Sequence[Mapping[str, Any]]]
    metadata: Callable[[], Sequence[Described]]
    version: str


_Handler = Callable[[web.Request, Parameters], Awaitable[web.StreamResponse]]


class PrometheusApi:
    """The routes below `/api/v1` that Prometheus has too, and `/federate`."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        both: dict[str, _Handler] = {
            "query": self._query,
            "query_range": self._query_range,
            "query_exemplars": self._query_exemplars,
            "format_query": self._format_query,
            "series": self._series,
            "labels": self._labels,
        }
        only_get: dict[str, _Handler] = {
            "label/{name}/values": self._values,
            "metadata": self._metadata,
            "rules": self._rules,
            "alerts": self._alerts,
            "targets": self._targets,
            "targets/metadata": self._targets_metadata,
            "status/buildinfo": self._buildinfo,
        }
        found: list[web.RouteDef] = []
        for path, handler in (both | only_get).items():
            address, guarded = f"/api/v1/{path}", _guarded(handler)
            found.append(web.get(address, guarded, allow_head=False))
            if path in both:
                found.append(web.post(address, guarded))
        found.append(web.get("/federate", _guarded(self._federate, _in_plain), allow_head=False))
        return found

    async def _query(self, request: web.Request, given: Parameters) -> web.StreamResponse:
        """Evaluate at one time."""
        time = given.moment("time")
        asked = Asked(
            kind=Kind.INSTANT,
            start=self._told.now() if time is None else time,
            query=given.text("query"),
            limit=given.count("limit"),
            lookback=_lookback(given),
        )
        return await self._answered(request, given, asked)

    async def _query_range(self, request: web.Request, given: Parameters) -> web.StreamResponse:
        """Evaluate at every step."""
        start, end = given.bound("start"), given.bound("end")
        if end < start:
            raise refused("end", "end timestamp must not be before start time")
        step = given.duration("step")
        if step <= 0:
            raise refused(
                "step",
                "zero or negative query resolution step widths are not accepted. Try a positive "
                "integer",
            )
        if (end - start) / step > TOO_MANY_POINTS:
            raise NoAnswerError(
                Trouble.BAD_DATA,
                f"exceeded maximum resolution of {TOO_MANY_POINTS:,} points per timeseries. Try "
                "decreasing the query resolution (?step=XX)",
            )
        asked = Asked(
            kind=Kind.RANGE,
            query=given.text("query"),
            start=start,
            end=end,
            step=step,
            limit=given.count("limit"),
            lookback=_lookback(given),
        )
        return await self._answered(request, given, asked)

    async def _query_exemplars(self, request: web.Request, given: Parameters) -> web.StreamResponse:
        """Answer that there are none: no engine gives any."""
        asked = Asked(kind=Kind.EXEMPLARS, query=given.text("query"))
        return await self._answered(request, given, asked)

    async def _format_query(self, request: web.Request, given: Parameters) -> web.StreamResponse:
        """Write a query in the one format."""
        asked = Asked(kind=Kind.FORMAT, query=given.text("query"))
        return await self._answered(request, given, asked)

    async def _series(self, request: web.Request, given: Parameters) -> web.StreamResponse:
        """Tell the series that satisfy any of some selectors."""
        if not given.all("match[]"):
            raise NoAnswerError(Trouble.BAD_DATA, "no match[] parameter provided")
        return await self._named(request, given, Kind.SERIES)

    async def _labels(self, request: web.Request, given: Parameters) -> web.StreamResponse:
        """Tell the names of labels."""
        return await self._named(request, given, Kind.LABELS)

    async def _values(self, request: web.Request, given: Parameters) -> web.StreamResponse:
        """Tell the values of a label."""
        return await self._named(request, given, Kind.VALUES, label=request.match_info["name"])

    async def _named(
        self, request: web.Request, given: Parameters, kind: Kind, *, label: str = ""
    ) -> web.StreamResponse:
        """Tell what there is of series."""
        end = given.moment("end")
        asked = Asked(
            kind=kind,
            selectors=given.all("match[]"),
            start=given.moment("start"),
            label=label,
            limit=given.count("limit"),
        )
        return await self._answered(
            request, given, asked if end is None else replace(asked, end=end)
        )

    async def _federate(self, request: web.Request, given: Parameters) -> web.StreamResponse:
        """Give the newest samples of some series as a page with times, for a Prometheus."""
        asked = Asked(kind=Kind.FEDERATE, selectors=given.all("match[]"), start=self._told.now())
        return await self._answered(request, given, asked, kind=TEXT)

    async def _answered(
        self,
        request: web.Request,
        given: Parameters,
        asked: Asked,
        *,
        kind: str = "application/json",
    ) -> web.StreamResponse:
        """Have a question answered, and send the answer."""
        patience = given.duration("timeout") if given.text("timeout") else None
        compressed = accepts_gzip(request.headers.get("Accept-Encoding", "")) and not is_loopback(
            request.remote
        )
        body = await self._told.answer(
            replace(asked, gzip=compressed),
            patience=patience,
            listens=lambda: request.transport is not None and not request.transport.is_closing(),
        )
        headers = {"Content-Type": kind}
        if compressed:
            headers["Content-Encoding"] = "gzip"
        return await send(request, body, headers)

    async def _metadata(self, _request: web.Request, given: Parameters) -> web.StreamResponse:
        """Tell type and help of the metrics on the page."""
        wanted, limit = given.text("metric"), given.count("limit")
        found = {
            one.name: [{"type": one.type, "help": one.help, "unit": one.unit}]
            for one in self._told.metadata()
            if wanted in ("", one.name)
        }
        return success(dict([*found.items()][: limit or None]))

    async def _targets_metadata(
        self, _request: web.Request, given: Parameters
    ) -> web.StreamResponse:
        """Tell the same, with the target that has them."""
        wanted, limit = given.text("metric"), given.count("limit")
        if given.text("match_target"):
            raise refused("match_target", "not supported: there is one target")
        labels = [target["labels"] for target in self._told.targets()]
        found = [
            {"target": target, "metric": one.name, "type": one.type, "help": one.help}
            | {"unit": one.unit}
            for target in labels
            for one in self._told.metadata()
            if wanted in ("", one.name)
        ]
        return success(found[: limit or None])

    async def _rules(self, _request: web.Request, given: Parameters) -> web.StreamResponse:
        """Tell the rules and how they fare."""
        kinds = {"": None, "alert": "alerting", "record": "recording"}
        if given.text("type").lower() not in kinds:
            raise refused("type", f'not supported value "{given.text("type")[:100]}"')
        if given.all("match[]"):
            raise refused("match[]", "not supported for rules; ask by rule_name[], rule_group[]")
        kind = kinds[given.text("type").lower()]
        names, groups, files = (
            given.all(name) for name in ("rule_name[]", "rule_group[]", "file[]")
        )
        told: list[Mapping[str, Any]] = []
        for group in await self._told.rules():
            if (groups and group["name"] not in groups) or (files and group["file"] not in files):
                continue
            rules = [
                rule
                for rule in group["rules"]
                if kind in (None, rule["type"]) and (not names or rule["name"] in names)
            ]
            if given.text("exclude_alerts").lower() in ("1", "t", "true"):
                rules = [{**rule, "alerts": []} if "alerts" in rule else rule for rule in rules]
            if rules:
                told.append({**group, "rules": rules})
        return success({"groups": told})

    async def _alerts(self, _request: web.Request, _given: Parameters) -> web.StreamResponse:
        """Tell the alerts that are pending or firing."""
        groups = await self._told.rules()
        rules = [rule for group in groups for rule in group["rules"]]
        return success({"alerts": [one for rule in rules for one in rule.get("alerts", ())]})

    async def _targets(self, _request: web.Request, given: Parameters) -> web.StreamResponse:
        """Tell what is watched: this agent, as a Prometheus would see it."""
        state, pool = given.text("state").lower(), given.text("scrapePool")
        active = [
            target
            for target in self._told.targets()
            if state in ("", "any", "active") and pool in ("", target["scrapePool"])
        ]
        return success({"activeTargets": active, "droppedTargets": [], "droppedTargetCounts": {}})

    async def _buildinfo(self, _request: web.Request, _given: Parameters) -> web.StreamResponse:
        """Tell what may be expected of this API."""
        return success(
            {
                "version": VERSION,
                "revision": f"inferwatch-{self._told.version}",
                "branch": "",
                "buildUser": "",
                "buildDate": "",
                "goVersion": "",
            }
        )


def _lookback(given: Parameters) -> float:
    """Return for how long a sample stands for its series."""
    lookback = given.duration_or("lookback_delta", 300.0)
    if lookback <= 0:
        raise refused("lookback_delta", "must be a positive duration")
    return lookback


def success(data: object) -> web.Response:
    """Answer with data that is at hand."""
    return web.json_response(text=json.dumps({"status": "success", "data": data}, allow_nan=False))


def failure(error: NoAnswerError, status: int | None = None) -> web.Response:
    """Answer why there is nothing."""
    told = {"status": "error", "errorType": error.trouble, "error": str(error)}
    headers = _AGAIN if error.trouble is Trouble.UNAVAILABLE else None
    return web.json_response(told, status=status or _STATUS[error.trouble], headers=headers)


def _in_plain(error: NoAnswerError, status: int | None = None) -> web.Response:
    """Answer the same to a scraper."""
    headers = _AGAIN if error.trouble is Trouble.UNAVAILABLE else None
    return web.Response(text=f"{error}\n", status=status or _STATUS[error.trouble], headers=headers)


def _guarded(
    handler: _Handler,
    refuse: Callable[[NoAnswerError, int | None], web.Response] = failure,
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return what handles a request whose parameters are to be read first."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request, await _parameters(request))
        except NoAnswerError as error:
            return refuse(error, None)
        except web.HTTPRequestEntityTooLarge as error:
            why = NoAnswerError(Trouble.BAD_DATA, "the form is longer than 1 MiB")
            return refuse(why, error.status)

    return handle


async def _parameters(request: web.Request) -> Parameters:
    """Return the parameters of the body, then those of the address, as Go has them.

    Raises:
        NoAnswerError: the body is not what it says it is.
    """
    given: MultiDict[str] = MultiDict()
    if request.method == "POST" and request.content_type == _FORM:
        try:
            form = await request.post()
        except (LookupError, ValueError, web.RequestPayloadError) as error:
            why = f"error parsing form values: {' '.join(str(error).split())}"
            raise NoAnswerError(Trouble.BAD_DATA, why) from error
        given.extend((name, value) for name, value in form.items() if isinstance(value, str))
    given.extend(request.query)
    return Parameters(given)
