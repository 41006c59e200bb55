"""The Prometheus API of a running agent: what it says of rules, targets and metrics."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.app.judging import Judging
from agent.app.queries import Queries
from agent.app.version import version
from agent.catalog import agent as catalog
from agent.config.queries import Queries as Limits
from agent.model import Clock, Frame, Metric, MetricType
from agent.store.target import Target
from agent.turns import Turns
from exporters.prometheus import PrometheusExporter
from exporters.prometheus_api import Described, PrometheusApi, Told


class Asked:
    """Answers what the API asks of one run.

    Args:
        limits: of queries.
        path: of the history on disk; None where there is none.
        target: what a Prometheus would know this agent by.
        judging: has the history and the rules, as they are now.
        page: has the newest frame.
        interval: seconds between ticks, as they are now.
        clock: of the run.
        wall: what those who ask go by; times are put forward to it.
        encrypted: whether they come over TLS.

    Attributes:
        queries: answers what needs samples.
        api: the routes.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        path: Path | None,
        target: Target,
        judging: Callable[[], Judging],
        page: PrometheusExporter,
        interval: Callable[[], float],
        clock: Clock,
        wall: Clock,
        encrypted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._target = target
        self._encrypted = encrypted
        self._judging = judging
        self._page = page
        self._interval = interval
        self._clock = clock
        self._wall = wall
        self._described: tuple[Sequence[int], list[Described]] = ((), [])
        self.queries = Queries(
            limits,
            lend=lambda: judging().lend(),
            path=path,
            target=target,
            clock=clock,
            wall=wall,
        )
        self.api = PrometheusApi(
            Told(
                answer=self.queries.answer,
                now=wall.time,
                rules=self._rules,
                targets=self._targets,
                metadata=self._metadata,
                version=version(),
            )
        )

    async def _rules(self) -> list[dict[str, Any]]:
        """Return the groups of rules."""
        shift = self._wall.time() - self._clock.time()
        steps = self._judging().rules(self._clock.time(), shift=shift)
        return await Turns(self._wall.monotonic).in_turns(steps)

    async def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are pending or firing, with times on the clock of the run."""
        steps = self._judging().rules(self._clock.time(), shift=0.0)
        groups = await Turns(self._wall.monotonic).in_turns(steps)
        rules = [rule for group in groups for rule in group["rules"]]
        return [alert for rule in rules for alert in rule.get("alerts", ())]

    def _targets(self) -> Sequence[Mapping[str, Any]]:
        """Return the one target: this agent, as the Prometheus that scrapes it would see it."""
        target, frame = self._target, self._page.frame
        own = {"job": target.job, "instance": target.instance}
        labels = {name: value for name, value in (*target.external.items(), *own.items()) if value}
        address = f"{'https' if self._encrypted() else 'http'}://{target.instance}/metrics"
        every = f"{self._interval():g}s"
        shift = self._wall.time() - self._clock.time()
        return [
            {
                "discoveredLabels": {"__address__": target.instance, **labels},
                "labels": labels,
                "scrapePool": target.job,
                "scrapeUrl": address,
                "globalUrl": address,
                "lastError": "",
                "lastScrape": _rfc3339(0.0 if frame is None else frame.time + shift),
                "lastScrapeDuration": 0.0 if frame is None else _duration(frame),
                "health": "unknown" if frame is None else "up",
                "scrapeInterval": every,
                "scrapeTimeout": every,
            }
        ]

    def _metadata(self) -> Sequence[Described]:
        """Return the metrics of the newest frame, as the page in the text format tells them."""
        frame = self._page.frame
        if frame is None:
            return []
        known, described = self._described
        if frame.ids is not known:
            metrics = dict.fromkeys(frame.table[number].metric for number in frame.ids)
            described = sorted(map(_described, metrics), key=lambda one: one.name)
            self._described = (frame.ids, described)
        return described


def _described(metric: Metric) -> Described:
    """Return what is said of a metric."""
    plain = metric.type in (MetricType.INFO, MetricType.STATESET)
    kind = MetricType.GAUGE if plain else metric.type
    return Described(metric.name, str(kind), metric.help, metric.unit)


def _duration(frame: Frame) -> float:
    """Return how long the tick before took, in seconds."""
    number = frame.table.find(catalog.TICK_DURATION)
    values = dict(zip(frame.ids, frame.values, strict=True))
    return 0.0 if number is None else values.get(number, 0.0)


def _rfc3339(time: float) -> str:
    """Return a time as JSON has it."""
    moment = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")
