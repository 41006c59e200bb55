"""Who may ask the agent, and what is said when the web configuration cannot be used."""

from collections.abc import MutableMapping

import structlog

from agent.catalog import agent as catalog
from agent.config import Listen, Settings
from agent.config.web_file import load_web_config
from agent.model import Clock, ConfigError, SeriesTable
from exporters.access import Guard, read_all

__all__ = ["Access", "own_address", "page_address", "read_all"]


class Access:
    """Who may ask one run of the agent; says in the log and in a metric how the files fare.

    Args:
        clock: what the time is.
        table: of series.
        facts: what the agent says of itself, by series.

    Attributes:
        guard: decides.
    """

    def __init__(
        self, *, clock: Clock, table: SeriesTable, facts: MutableMapping[int, float]
    ) -> None:
        self._log = structlog.get_logger()
        self._facts = facts
        self._series = table.intern(catalog.WEB_CONFIG_SUCCESS)
        self.guard = Guard(clock=clock, told=self._told)

    def note(self) -> None:
        """Keep the metric: a configuration was just taken into use."""
        if self.guard.is_set:
            self._facts[self._series] = 1.0
        else:
            self._facts.pop(self._series, None)

    def _told(self, problem: str) -> None:
        """Say what is wrong with the files, or that they are well."""
        self._facts[self._series] = 0.0 if problem else 1.0
        if problem:
            self._log.error("the web configuration is refused, the old one stays", reason=problem)
        else:
            self._log.info("the web configuration was read again")


def page_address(listen: Listen, guard: Guard) -> str:
    """Return where a browser on this host finds the page."""
    return listen.url.replace("http:", "https:", 1) if guard.encrypts else listen.url


def own_address(settings: Settings, instance: str) -> str:
    """Return where people find the agent, if the settings do not say."""
    path = settings.exporters.http_api.web_config
    try:
        encrypted = path is not None and load_web_config(path).tls_server_config.enabled
    except ConfigError:
        encrypted = False  # it is said where the file is read to be used
    return f"{'https' if encrypted else 'http'}://{instance}"
