"""What a live agent and a replay have in common."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

from agent.pipeline import Health, Pipeline
from collectors.engines import ENGINES
from exporters.web.seen import SourceLine


def source_lines(pipeline: Pipeline) -> list[SourceLine]:
    """Return how each source fares, for the page at `/`."""
    return [_source_line(name, health) for name, health in pipeline.sources.items()]


def _source_line(name: str, health: Health) -> SourceLine:
    """Return how one source fares."""
    look = health.state
    if look is None:
        return SourceLine(name=name, state="waiting", detail="no answer yet")
    if look.unavailable:
        return SourceLine(name=name, state="absent", detail=look.error)
    if look.reading is None:
        return SourceLine(name=name, state="down", detail=look.error)
    return SourceLine(name=name, state="up", detail=f"{len(look.reading.ids)} series")


def looked_for() -> list[str]:
    """Return what is looked for on a host, and what to do where it is not found."""
    titles = " or ".join(engine.title for engine in ENGINES.values())
    commands = ", ".join(
        dict.fromkeys(" ".join(words) for one in ENGINES.values() for words in one.commands)
    )
    found = f"Looked for: processes of {titles}, by their command lines ({commands})."
    start = (
        "To do: start one and it is found within seconds, without a restart; or name its address "
        "in the configuration, at collectors.engines.instances."
    )
    ask = (
        "On this host, inferwatch doctor says what was looked for, what was found and what is "
        "missing."
    )
    return [found, start, ask]


@contextlib.contextmanager
def signals(stop: Callable[[], None], reload: Callable[[], None]) -> Iterator[None]:
    """Call these on SIGTERM and SIGINT, and on SIGHUP, while the block runs.

    A SIGHUP that came before, while it was held back, is answered now.
    """
    loop = asyncio.get_running_loop()
    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
