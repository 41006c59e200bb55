"""An engine as the agent sees it, for the tests of its collector."""

from collections.abc import Awaitable, Callable, Sequence

from agent.config import EngineInstance
from agent.model import SeriesTable
from collectors.engines import ENGINES
from collectors.engines.collector import EngineCollector
from collectors.engines.process import EngineProcess
from tests.fakes.clock import ManualClock
from tests.fakes.engine_server import capture
from tests.fakes.samples import samples

PAGE = capture("vllm-04-saturated.prom")

LIMIT = 1 << 20

RUNNING = 'engine_requests_running{engine="vllm",instance_name="chat",model_name="tiny",rank="0"}'


class Watched:
    """One engine as the agent sees it."""

    def __init__(
        self,
        instance: EngineInstance,
        *,
        process_of: Callable[[EngineInstance], EngineProcess | None] = lambda _instance: None,
        gpus: Sequence[str] = (),
    ) -> None:
        self.table = SeriesTable()
        self.clock = ManualClock()
        self.collector = EngineCollector(
            instance,
            engine=ENGINES[instance.engine],
            table=self.table,
            clock=self.clock,
            max_page_size=LIMIT,
            process_of=process_of,
            gpus=gpus,
        )

    async def look(self) -> dict[str, float]:
        """Return the samples of one look."""
        return samples(self.table, await self.collector.collect())

    async def kinds(self) -> list[str]:
        """Return the kinds of the events of one look."""
        return [event.kind for event in (await self.collector.collect()).events]


Watch = Callable[..., Awaitable[Watched]]
