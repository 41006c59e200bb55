"""What the HTTP endpoint asks of an agent, as tests want it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.catalog import agent as catalog
from agent.model import ConfigError, Frame, SeriesTable
from exporters.http_api import EnginePage, HttpApi, Views
from exporters.prometheus import PrometheusExporter
from exporters.web.seen import SourceLine
from tests.fakes.clock import ManualClock

CHAT = {"instance_name": "chat", "model_name": "m"}


@dataclass
class AskedAgent:
    """An agent with an endpoint; it ticks when told."""

    pages: dict[str, EnginePage | None] = field(default_factory=dict)
    lines: list[SourceLine] = field(default_factory=list)
    problem: str = ""
    reloads: int = 0
    reload_note: str = ""
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        """Make the endpoint."""
        self.table = SeriesTable()
        self.page = PrometheusExporter(self.clock)
        self.api = HttpApi(self.page, self.views())

    def views(self, *, banner: str = "", interval: float = 1.0) -> Views:
        """Return what the endpoint may ask."""
        return Views(
            engine_pages=self._pages,
            sources=self._lines,
            reload=self._reload,
            banner=banner,
            version="1.2.3",
            interval=lambda: interval,
            capacity=lambda: {"replicas": []},
            signals=lambda time: {"time": time, "replicas": [CHAT], "stale": []},
        )

    def _pages(self) -> Mapping[str, EnginePage | None]:
        return self.pages

    def _lines(self) -> Sequence[SourceLine]:
        return self.lines

    async def _reload(self) -> str:
        """Count, and refuse as told."""
        self.reloads += 1
        if self.problem:
            raise ConfigError(self.problem)
        return self.reload_note

    async def tick(self, series: int = 1) -> None:
        """Publish a frame of so many series."""
        ids = [self.table.intern(catalog.SOURCE_UP, (f"s{number}",)) for number in range(series)]
        frame = Frame(self.clock.time(), self.table, ids, [1.0] * series)
        await self.page.publish(frame)
