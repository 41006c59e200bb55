"""What becomes of each frame on this host: history, rules, and those who are told."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from agent.alerts.errors import RuleError
from agent.alerts.group import Site
from agent.alerts.rule import Group
from agent.app.access import own_address
from agent.app.alerting import STATE_FILE, Alerting
from agent.app.history import new_history, target_of
from agent.app.incidents import new_recorder
from agent.app.receivers import channels_of
from agent.app.rules import configured_rules
from agent.config import Settings
from agent.log import ChangeLog
from agent.model import Clock, ConfigError, Frame, Reading, SeriesTable
from agent.steps import Steps, at_once
from agent.store.lending import Lent
from agent.store.series import SeriesSamples
from exporters.receivers import Receivers


def rules_of(settings: Settings) -> tuple[Group, ...]:
    """Return the rules that settings ask for.

    Raises:
        ConfigError: a rule file is missing or has problems; the message has them all.
    """
    try:
        return configured_rules(settings.alerts)
    except RuleError as error:
        raise ConfigError(str(error)) from error


class Judging:
    """Keeps the history, evaluates the rules over it, and has the receivers told.

    Args:
        settings: which history, rules and receivers.
        groups: the rules, if they were read already.
        table: of the run.
        clock: of the run.
        log: told how receivers fare and what else is wrong.
        verdict: what analysis says of the engines that an alert with some labels is about.

    Raises:
        ConfigError: the rules cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        table: SeriesTable,
        clock: Clock,
        log: ChangeLog,
        groups: Sequence[Group] | None = None,
        verdict: Callable[[Mapping[str, str]], str] = lambda _labels: "",
    ) -> None:
        log_line = structlog.get_logger().warning
        groups = rules_of(settings) if groups is None else groups
        target = target_of(settings)
        self._history = new_history(
            settings,
            table,
            clock=clock,
            keep_full=frozenset().union(*(group.metric_names for group in groups)),
            told=log_line,
        )
        # The state of alerts and what waits for receivers lie beside the history.
        own = settings.history.enabled and not self._history.taken
        folder = settings.history.path.parent if own else None
        self.state_folder = folder
        self._target = target
        self._clock = clock
        self._verdict = verdict
        site = self._site(settings)
        channels = channels_of(settings, clock=clock, external_url=site.external_url)
        self._alerting = Alerting(
            groups,
            site=site,
            table=table,
            history=self._history,
            clock=clock,
            tick=settings.tick.interval,
            tells=bool(channels),
            state_file=None if folder is None else folder / STATE_FILE,
            told=log_line,
        )
        self.receivers = Receivers(
            channels,
            table=table,
            clock=clock,
            random=random.random,
            folder=folder,
            told=log.exporter,
        )

        recorder = None
        if own or settings.incidents.path is not None:
            recorder = new_recorder(
                settings, table, rows=self._history.ticks, clock=clock, told=log_line
            )
        self.recorders = () if recorder is None else (recorder,)

    async def restore(self) -> None:
        """Take up the alerts of the run before."""
        await self._alerting.restore()

    def judge(self, frame: Frame) -> Frame:
        """Remember a frame and return it with the alerts that follow from it."""
        return at_once(self.in_steps(frame))

    def in_steps(self, frame: Frame) -> Steps[Frame]:
        """Do what `judge` does, one thing after the other."""
        self._history.append(frame)
        yield
        return (yield from self._alerting.in_steps(frame))

    def remembered(self, name: str, start: float, end: float) -> list[SeriesSamples]:
        """Return what memory holds of a metric; see `History`."""
        return self._history.remembered(name, start, end)

    def lend(self) -> Lent:
        """Return what the history holds in memory now."""
        return self._history.lend()

    def rules(self, time: float, *, shift: float) -> Steps[list[dict[str, Any]]]:
        """Give the rules as the Prometheus API tells them; see `Shown`."""
        return self._alerting.shown(time, shift=shift)

    async def use(self, settings: Settings, groups: Sequence[Group]) -> None:
        """Go on with other rules and receivers.

        History, incidents and the labels of this host stay; see `waits_for_restart`.
        """
        site = self._site(settings)
        channels = channels_of(settings, clock=self._clock, external_url=site.external_url)
        await self.receivers.use(channels)
        self._alerting.replace(groups, site=site, tick=settings.tick.interval, tells=bool(channels))

    def _site(self, settings: Settings) -> Site:
        """Return what alerts go out with: the labels of the history, the links of the settings."""
        target = self._target
        instance = target_of(settings).instance
        return Site(
            external_labels={"job": target.job, "instance": target.instance, **target.external},
            external_url=settings.alerts.external_url or own_address(settings, instance),
            runbook_base=settings.alerts.runbook_base or "",
            verdict=self._verdict,
        )

    def series(self) -> set[int]:
        """Return the series that the history names."""
        return self._history.series()

    def readings(self) -> Sequence[Reading]:
        """Return the samples about the history, the rules, the receivers and the incidents."""
        return (
            self._history.reading(),
            self._alerting.reading(),
            self.receivers.reading(),
            *(recorder.reading() for recorder in self.recorders),
        )

    async def aclose(self) -> None:
        """Keep what there is; safe to call twice. The receivers are closed by the runtime."""
        await self._alerting.aclose()
        # What is still in memory is compressed and written.
        await asyncio.to_thread(self._history.close)
