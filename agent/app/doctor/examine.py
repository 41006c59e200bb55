"""All that the doctor looks at, in the order in which it is told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from agent.app.doctor.address import address, web_configuration
from agent.app.doctor.engines import engines
from agent.app.doctor.finding import Finding, State, ok
from agent.app.doctor.hardware import hardware
from agent.app.doctor.host import Places, host
from agent.app.doctor.look import looked
from agent.app.doctor.surroundings import receivers, state_folder
from agent.app.judging import rules_of
from agent.config import Settings
from agent.model import Clock, ConfigError


async def examine(
    settings: Settings | ConfigError,
    *,
    config: Path | None,
    clock: Clock,
    places: Places = Places(),  # noqa: B008 - immutable
) -> AsyncIterator[Finding]:
    """Yield what is found, one thing after the other.

    Args:
        settings: of the configuration, or why it cannot be used: then the defaults are taken.
        config: the file that they were read from, None for the defaults.
        clock: of this host.
        places: where the host's own files are.
    """
    yield _configuration(settings, config)
    used = Settings() if isinstance(settings, ConfigError) else settings
    web_config = used.exporters.http_api.web_config
    certificates = False
    if web_config is not None:
        finding, certificates = await asyncio.to_thread(web_configuration, web_config)
        yield finding
    for listen in used.exporters.http_api.listen:
        yield await address(listen, certificates=certificates)
    yield state_folder(used.history)
    seen = await looked(used.collectors, clock=clock)
    for finding in (*hardware(seen), *engines(seen), *host(seen, places)):
        yield finding
    async for finding in receivers(used):
        yield finding


def _configuration(settings: Settings | ConfigError, config: Path | None) -> Finding:
    """Return whether the configuration can be used, rule files included."""
    topic = "configuration"
    try:
        if isinstance(settings, ConfigError):
            raise settings
        rules = sum(len(group.rules) for group in rules_of(settings))
    except ConfigError as error:
        return Finding(
            topic=topic,
            state=State.BROKEN,
            found=str(error),
            costs="an agent does not start with it, and one that runs keeps the one before; the "
            "doctor goes on with the defaults",
            advice=f"correct the file, then: inferwatch check-config {config}",
        )
    if config is None:
        return ok(topic, f"no file is needed: the defaults are used, with {rules} rules")
    return ok(topic, f"{config} is good, with {rules} rules")
