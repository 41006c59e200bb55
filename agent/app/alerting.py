"""Rules on the running agent: evaluated at each tick, their state kept over a restart."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from agent.alerts.engine import Outcome, RuleEngine
from agent.alerts.group import Site
from agent.alerts.rule import Group
from agent.alerts.shown import Shown
from agent.alerts.source import History
from agent.app.state_file import read_state, write_state
from agent.catalog import alerts as catalog
from agent.model import Clock, Frame, Reading, SeriesTable
from agent.queries.numbers import exponent_text
from agent.steps import Steps, at_once

STATE_FILE: Final = "alerts.json"
"""Name of the file in the state folder."""

# While an alert is active its state is written this often: it tells how long an outage was.
_SAVE_EVERY: Final = 30.0

# What only waits comes and goes with every other tick on a busy host. An agent that is killed may
# have forgotten so many seconds of waiting.
_WAITS: Final = 5.0


class Alerting:
    """Evaluates rules and says in the frame whom to tell what.

    Args:
        groups: the rules.
        site: see there.
        table: of the run.
        history: has the samples of the frame when it is handed over.
        clock: measures how long the rules take, and says when state was saved.
        tick: seconds between ticks.
        tells: somebody is told of the alerts.
        state_file: where state is kept over a restart; None for nowhere.
        told: called with a sentence for the log.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        *,
        site: Site,
        table: SeriesTable,
        history: History,
        clock: Clock,
        tick: float,
        tells: bool = True,
        state_file: Path | None = None,
        told: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self.engine = RuleEngine(groups, table=table, tick=tick, site=site, told=tells)
        self._table = table
        self._history = history
        self._clock = clock
        self._state_file = state_file
        self._told = told
        self._rules = sum(len(group.rules) for group in groups)
        self._evaluating = False
        self._next: Callable[[], None] | None = None
        self._duration: float | None = None
        self._seen: dict[str, None] = {}
        self._ids: list[int] = []
        self._failures: Counter[tuple[str, str]] = Counter()
        self._failing: dict[tuple[str, str], str] = {}
        self._saved_at = float("-inf")
        self._unsaved = False
        self._saving: asyncio.Task[None] | None = None
        self._again = False
        self._save_trouble = ""

    def replace(
        self,
        groups: Sequence[Group],
        *,
        site: Site | None = None,
        tick: float | None = None,
        tells: bool | None = None,
    ) -> None:
        """Go on with other rules; alerts of those that stay go on as they are.

        While rules are evaluated step by step, that is once the last of them is done.

        Args:
            groups: the rules.
            site: see there; None for that of before, as for what follows.
            tick: seconds between ticks.
            tells: somebody is told of the alerts.
        """
        if self._evaluating:
            self._next = partial(self.replace, groups, site=site, tick=tick, tells=tells)
            return
        engine = self.engine
        engine.site = engine.site if site is None else site
        engine.tick = engine.tick if tick is None else tick
        engine.told = engine.told if tells is None else tells
        engine.replace(groups)
        self._rules = sum(len(group.rules) for group in groups)
        self._failing.clear()

    @property
    def saving(self) -> asyncio.Task[None] | None:
        """The last time that state was saved, if it was; it may be under way."""
        return self._saving

    async def restore(self) -> int:
        """Take up the state of the run before; return how many alerts."""
        saved: Any = None
        if self._state_file is not None:
            try:
                saved = await asyncio.to_thread(read_state, self._state_file)
            except FileNotFoundError:
                pass
            except (OSError, ValueError, RecursionError) as error:
                self._told(f"the state of alerts in {self._state_file} cannot be used: {error}")
        return self.engine.restore(saved, self._clock.time())

    def evaluate(self, frame: Frame) -> Frame:
        """Return the frame with what rules made of it; the history has it already."""
        return at_once(self.in_steps(frame))

    def in_steps(self, frame: Frame) -> Steps[Frame]:
        """Do what `evaluate` does, rule by rule."""
        self._evaluating = True
        try:
            outcome = yield from self._timed(self.engine.in_steps(frame.time, self._history))
        finally:
            self._evaluating = False
            if self._next is not None:
                go_on, self._next = self._next, None
                go_on()
        self._tell_failures(outcome)
        self._unsaved = self._unsaved or outcome.changed
        since = self._clock.monotonic() - self._saved_at
        if (
            outcome.events
            or (self._unsaved and since >= _WAITS)
            or (since >= _SAVE_EVERY and self.engine.alerts())
        ):
            self._save_soon()
        return replace(frame, alerts=outcome.alerts, events=(*frame.events, *outcome.events))

    def _timed(self, steps: Steps[Outcome]) -> Steps[Outcome]:
        """Pass the steps on and note how long they took, without what others did between them."""
        duration = group = 0.0
        while True:
            begun = self._clock.monotonic()
            try:
                next(steps)
            except StopIteration as end:
                self._duration = duration + self._clock.monotonic() - begun
                outcome: Outcome = end.value
                return outcome
            took = self._clock.monotonic() - begun
            duration += took
            group += took
            if self.engine.last is not None:
                self.engine.last.took, self.engine.last, group = group, None, 0.0
            yield

    def _tell_failures(self, outcome: Outcome) -> None:
        """Count the rules that had no result; say each reason once."""
        for group, rule, why in outcome.failures:
            self._failures[group, rule] += 1
            if self._failing.get((group, rule)) != why:
                self._failing[group, rule] = why
                self._told(f"rule {rule} of group {group} has no result: {why}")

    def shown(self, time: float, *, shift: float) -> Steps[list[dict[str, Any]]]:
        """Give the rules as the Prometheus API tells them; see `Shown`."""
        shown = Shown(self.engine, self._history, number=exponent_text, shift=shift)
        return shown.groups(time)

    def reading(self) -> Reading:
        """Return the samples about the rules."""
        counts, flaps = self.engine.counts(), self.engine.flapping.by_name()
        # Series that come and go with each alert would have everyone look at all series anew.
        for name in (*counts, *flaps):
            self._seen.setdefault(name)
        values = [float(self._rules)]
        if self._duration is not None:
            values.append(self._duration)
        for name in self._seen:
            pending, firing = counts.get(name, (0, 0))
            share, flapping = flaps.get(name, (0.0, 0))
            values += float(pending), float(firing), float(flapping), round(share, 4)
        values += map(float, self._failures.values())
        if len(values) != len(self._ids):  # none goes, so as many are the same ones
            self._ids = [*self._series()]
        return Reading(self._ids, values)

    def _series(self) -> Iterator[int]:
        """Yield the series of the samples, in their order."""
        intern = self._table.intern
        yield intern(catalog.RULES)
        if self._duration is not None:
            yield intern(catalog.RULES_DURATION)
        for name in self._seen:
            for state in ("pending", "firing"):
                yield intern(catalog.ALERTS, (name, state))
            yield intern(catalog.FLAPPING, (name,))
            yield intern(catalog.STATE_CHANGE, (name,))
        for labels in self._failures:
            yield intern(catalog.RULE_FAILURES, labels)

    def _save_soon(self) -> None:
        """Save in the background; one save at a time, the last state wins."""
        self._saved_at = self._clock.monotonic()
        self._unsaved = False
        if self._state_file is None:
            return
        if self._saving is not None and not self._saving.done():
            self._again = True
            return
        self._saving = asyncio.create_task(self._save(self._state_file))

    async def _save(self, path: Path) -> None:
        """Write the state until it is the latest."""
        while True:
            self._again = False
            saved = self.engine.saved(self._clock.time())
            trouble = ""
            try:
                await asyncio.to_thread(write_state, path, saved)
            except OSError as error:
                trouble = f"the state of alerts cannot be saved: {error}"
            if trouble and trouble != self._save_trouble:
                self._told(trouble)
            self._save_trouble = trouble
            if not self._again:
                return

    async def aclose(self) -> None:
        """Save what there is; safe to call twice."""
        if self._state_file is None:
            return
        if self._saving is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._saving
        await self._save(self._state_file)
