"""Serves a captured vLLM page until it is killed: `python -m tests.fakes.serve_engine PORT`."""

import asyncio
import sys

from aiohttp import web

from tests.fakes.engine_server import EngineServer


async def serve(port: int) -> None:
    """Answer for ever."""
    documents = EngineServer.vllm().documents

    async def answer(request: web.Request) -> web.Response:
        if request.path not in documents:
            raise web.HTTPNotFound
        return web.Response(body=documents[request.path], content_type="text/plain")

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
