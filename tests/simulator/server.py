"""A simulated host on real sockets, for the whole daemon.

    python -m tests.simulator.server kv_memory-0 --speed 5

Each server answers on a port of its own like a vLLM: `/metrics`, `/version`, `/v1/models`,
`/health`. GPUs are shown through the stub driver, where there is one. Between two seconds of the
simulation nothing changes.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.fakes.engine_server import EngineServer
from tests.fakes.nvml.controller import StubDriver
from tests.simulator.replica import Replica
from tests.simulator.scenarios import SCENARIOS
from tests.simulator.simulation import Simulation


class Server:
    """Shows a simulation to whoever asks.

    Args:
        simulation: what is shown; not yet begun.
        speed: seconds of the simulation in a second.
        driver: where its GPUs are shown; it must have as many.

    Attributes:
        urls: addresses of its servers, once it has started.
        second: of the simulation, that is over.
    """

    def __init__(
        self, simulation: Simulation, *, speed: float = 1.0, driver: StubDriver | None = None
    ) -> None:
        self.simulation = simulation
        self.second = 0
        self.urls: list[str] = []
        self._speed = speed
        self._driver = driver
        self._servers = [_server(replica) for replica in simulation.replicas]
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> Self:
        """Begin to answer, and to let time pass."""
        self.step()
        for server in self._servers:
            await server.start()
        self.urls = [server.url for server in self._servers]
        self._task = asyncio.create_task(self._run())
        return self

    async def aclose(self) -> None:
        """Stop; safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        for server in self._servers:
            await server.aclose()

    def step(self) -> None:
        """Let a second of the simulation pass and show what it left."""
        self.simulation.step(self.second)
        self.second += 1
        for replica, server in zip(self.simulation.replicas, self._servers, strict=True):
            if replica.up:
                server.documents["/metrics"] = replica.page()
            else:
                server.documents.pop("/metrics", None)
        if self._driver is not None:
            for card in self.simulation.cards:
                card.show(self._driver)
            self._driver.write()

    async def _run(self) -> None:
        """Let time pass until the simulation is over; its last page stays."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while self.second < self.simulation.seconds:
            await asyncio.sleep(max(0.0, begun + self.second / self._speed - loop.time()))
            self.step()


class ServerThread:
    """A `Server` beside a test that does not run in an event loop.

    Attributes:
        server: what it runs; `urls` are known inside the `with` block.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Server:
        """Start it."""
        self._thread.start()
        if not self._started.wait(10.0):
            raise RuntimeError("the simulated server does not start")
        return self.server

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        asyncio.run_coroutine_threadsafe(self.server.aclose(), self._loop).result(10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)
        self._loop.close()

    def _run(self) -> None:
        """Run the loop."""
        self._loop.run_until_complete(self.server.start())
        self._started.set()
        self._loop.run_forever()


def _server(replica: Replica) -> EngineServer:
    """Return the HTTP server of a replica."""
    documents = {
        path: json.dumps(document).encode()
        for path, document in replica.template.documents().items()
    }
    server = EngineServer(documents)
    server.behaviours["/health"] = _healthy
    return server


async def _healthy(_request: web.Request) -> web.StreamResponse:
    """Answer as vLLM does while it lives: with nothing."""
    return web.Response()


async def _serve(name: str, speed: float) -> None:
    """Show a scenario until it is over."""
    server = await Server(SCENARIOS[name].simulate(), speed=speed).start()
    for url in server.urls:
        sys.stdout.write(url + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Show one scenario until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=sorted(SCENARIOS), metavar="SCENARIO")
    parser.add_argument("--speed", type=float, default=1.0)
    given = parser.parse_args(arguments)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(given.scenario, given.speed))


if __name__ == "__main__":
    main()
