"""What the tests of the collector of engines share."""

from collections.abc import AsyncIterator

import pytest

from agent.config import EngineInstance
from tests.collectors.engines.watching import Watch, Watched
from tests.fakes.engine_server import EngineServer


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    """Start servers and collectors that end with the test."""
    servers: list[EngineServer] = []
    watched: list[Watched] = []

    async def start(
        server: EngineServer, *, engine: str = "vllm", path: str = "", **options: object
    ) -> Watched:
        if not server.url:
            await server.start()
        servers.append(server)
        process_of = options.pop("process_of", lambda _instance: None)
        gpus = options.pop("gpus", ())
        instance = EngineInstance(name="chat", engine=engine, url=server.url + path, **options)  # type: ignore[arg-type]
        watched.append(Watched(instance, process_of=process_of, gpus=gpus))  # type: ignore[arg-type]
        return watched[-1]

    yield start
    for one in watched:
        await one.collector.aclose()
        await one.collector.aclose()
    for server in servers:
        await server.aclose()
