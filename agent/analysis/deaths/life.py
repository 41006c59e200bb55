"""The life of one engine: whether it starts, serves, is silent, or is over.

    process seen ─► STARTING ─► SERVING ─► SILENT ─► OVER ─► SERVING
                        └───────── its process ended ─┘ answers again

What ends a life is told once, when its cause is likely to be known: the kernel log and systemd's
journal come seconds after the fact.
"""

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final

from agent.analysis.deaths.causes import RANK, Cause, Finding, strongest
from agent.analysis.deaths.evidence import REACH, Evidence
from agent.analysis.deaths.loading import Loading
from agent.analysis.deaths.page import Instance, Page
from agent.analysis.deaths.words import Ending, duration

SETTLE: Final = 3.0
"""Seconds after the end of an engine in which a better reason may still come."""

SEARCH: Final = 10.0
"""Seconds after its end in which any reason may come."""

AT_ONCE: Final = 2.0
"""Seconds between two moments that looks once a second cannot tell apart."""

HANG: Final = 30.0
"""Seconds without an answer after which an engine whose process lives is hung."""

STALL: Final = 60.0
"""Seconds with requests and without a step after which an engine that answers is hung."""


_HOW: Final = frozenset({Cause.STOPPED, Cause.CRASHED, Cause.KILLED})
"""How a process ended, which is not why it had hung."""


class Phase(Enum):
    """Where in its life an engine is."""

    UNSEEN = auto()
    STARTING = auto()
    SERVING = auto()
    SILENT = auto()
    OVER = auto()


class _Wait:
    """How long something has lasted, by a clock that nobody sets."""

    __slots__ = ("lasted", "since")

    def __init__(self, time: float = 0.0) -> None:
        self.since = time
        self.lasted = 0.0

    def begin(self, time: float) -> None:
        """Begin anew, at this time of the clock on the wall."""
        self.since, self.lasted = time, 0.0


@dataclass(slots=True)
class Life:
    """Follows one engine."""

    instance: Instance
    phase: Phase = Phase.UNSEEN
    served_since: float | None = None
    answered_at: float | None = None
    page: Page | None = None
    evidence: Evidence = field(default_factory=Evidence)
    ending: Ending | None = None
    loading: Loading = field(default_factory=Loading)
    _restarted: bool = False
    _process: bool | None = None
    _failure: str = ""
    _away: _Wait = field(default_factory=_Wait)
    _gone: _Wait | None = None
    _still: _Wait = field(default_factory=_Wait)
    _left: bool = False

    def restarted(self) -> None:
        """Take note that the engine's own source saw it restart."""
        self._restarted = True

    def tick(
        self, time: float, page: Page, *, passed: float, failure: str, processes: bool
    ) -> Ending | None:
        """Follow a tick.

        Args:
            time: Unix seconds.
            passed: seconds since the tick before, whatever became of the clock on the wall.
            page: the engine's numbers.
            failure: why its page could not be read; empty where it could.
            processes: whether `page.servers` can be relied upon.

        Returns:
            What ended at this tick, if anything; `recovered` where it serves again.
        """
        self._away.lasted += passed
        self._still.lasted += passed
        if self._gone is not None:
            self._gone.lasted += passed
        self.loading.tick(time, page, passed=passed, processes=processes)
        self._see_process(time, page, known=processes)
        self.evidence.count_kills(time, page.oom_kills)
        ended = self._answers(time, page) if page.up else self._is_silent(time, failure)
        self._restarted = False
        return ended

    def _see_process(self, time: float, page: Page, *, known: bool) -> None:
        """Follow whether the server's process is there; unknown where none was ever seen."""
        if not known:
            self._gone = None
            return
        there = bool(page.servers)
        if there and self.phase is Phase.SILENT and self.loading.lasted is not None:
            # Another has taken the place of the one that served.
            self._gone = self._gone or _Wait(time)
        elif there:
            self._process, self._gone = True, None
        elif self._process is not None:
            self._process = False
            if self._gone is None:
                self._gone = _Wait(time)

    # --- it answers --------------------------------------------------------------------------

    def _answers(self, time: float, page: Page) -> Ending | None:
        """Follow a tick at which the page could be read."""
        before = self.page
        anew = self._restarted or (
            before is not None and before.started is not None and before.started != page.started
        )
        ended: Ending | None = None
        if self.phase in (Phase.OVER, Phase.STARTING):
            stands = self.phase is Phase.OVER and self._stands(page)
            if not stands or anew:
                ended = self._recover(time)
                self.phase = Phase.SERVING
        elif anew:
            ended = self._end(time, "died", how="it was restarted")
            self.phase, self.ending = Phase.SERVING, None
        else:
            self.phase = Phase.SERVING
        if anew or self.served_since is None:
            self.served_since = page.started or time
            self.evidence.begin_anew()
        if self.phase is Phase.SERVING and ended is None:
            ended = self._stalls(time, page, before)
        self.page, self.answered_at, self._failure = page, time, ""
        self.evidence.note(time, page)
        return ended

    def _stands(self, page: Page) -> bool:
        """Return whether it was told that it answers without moving, and it still does."""
        return self.ending is not None and self.ending.stalled and not page.moved(self.page)

    def _stalls(self, time: float, page: Page, before: Page | None) -> Ending | None:
        """Return that it is hung if it has requests and has made no step for too long."""
        if page.moved(before):
            self._still.begin(time)
            return None
        if self._still.lasted < STALL:
            return None
        return self._end(time, "hung", stalled=True)

    def _recover(self, time: float) -> Ending | None:
        """Return that it serves again, if it was said that it does not."""
        ending, self.ending = self.ending, None
        self._still.begin(time)
        if ending is None:
            return None
        return ending.recovered_at(time)

    # --- it does not -------------------------------------------------------------------------

    def _is_silent(self, time: float, failure: str) -> Ending | None:
        """Follow a tick at which the page could not be read."""
        self._failure = failure or self._failure
        match self.phase:
            case Phase.SERVING:
                self.phase = Phase.SILENT
                self._away.begin(time)
            case Phase.STARTING | Phase.SILENT:
                return self._judge(time)
            case Phase.UNSEEN if self._process:
                self._begin(time)
            case Phase.OVER:
                self._left |= self._gone is not None
                if self._left and self._process:
                    self._begin(time)
                else:
                    return self._ended_unseen(time) or self._explained(time)
            case _:
                pass
        return None

    def _begin(self, time: float) -> None:
        """Take note of a process that does not answer yet."""
        self.phase, self.served_since, self.page = Phase.STARTING, None, None
        self.answered_at = None
        self._away.begin(time)

    def _judge(self, time: float) -> Ending | None:
        """Return that it has ended or hangs, once that is clear and a reason had time to come."""
        enough = SETTLE if strongest(self._relevant()) is not None else SEARCH
        if self._gone is not None:
            if self._gone.lasted < enough:
                return None
            kind = "died" if self.phase is Phase.SILENT else "failed to start"
            return self._end(time, kind, how=self._how_gone(), gone=True)
        if self.phase is Phase.STARTING:
            return None
        refused = self._process is None and self._failure.startswith("cannot connect")
        if refused and self._away.lasted >= enough:
            return self._end(time, "died", how="nothing listens at its address", gone=True)
        if self._away.lasted >= HANG:
            return self._end(time, "hung")
        return None

    def _how_gone(self) -> str:
        """Return how its end shows; a server that is asked to end closes its port before."""
        if self._gone is None or self.phase is not Phase.SILENT:
            return "its process has ended"
        after = self._away.lasted - self._gone.lasted
        if after < AT_ONCE:
            return "its process was gone as soon as its page"
        return f"its process ended {duration(after)} after it had ceased to answer"

    def _ended_unseen(self, time: float) -> Ending | None:
        """Return a start that failed between two looks at the processes, if its unit told of it."""
        exited = self.evidence.last_exit()
        if self.ending is None or exited is None or exited <= self.ending.told_at + 1.0:
            return None
        self.served_since = self.answered_at = self.page = None
        return self._end(
            time, "failed to start", how="its process has ended", gone=True, since=exited
        )

    def _explained(self, time: float) -> Ending | None:
        """Return a better reason of the end that was told, if one came late."""
        if self.ending is None or time - self.ending.told_at > REACH:
            return None
        found = strongest(self._relevant(self.ending.since))
        if found is None or found.place >= self.ending.place:
            return None
        if self.ending.kind == "hung" and found.cause in _HOW:
            return None  # whoever saw it hang ended it
        self.evidence.clear()
        evidence = (found.text, *self.ending.evidence)
        self.ending = replace(self.ending, cause=found.cause, place=found.place, evidence=evidence)
        return replace(self.ending, kind="explained", told_at=time)

    # --- its end -----------------------------------------------------------------------------

    def _relevant(self, since: float | None = None) -> list[Finding]:
        """Return the evidence that is near enough to the end."""
        ended = self._away.since if since is None else since
        known = ended if self.answered_at is None else min(ended, self.answered_at)
        return self.evidence.near(known)

    def _end(
        self,
        time: float,
        kind: str,
        *,
        how: str = "",
        gone: bool = False,
        stalled: bool = False,
        since: float | None = None,
    ) -> Ending:
        """Return what has ended and why, and begin to wait for what comes then."""
        if since is None:
            since = self._still.since if stalled else self._away.since
            if self.phase is Phase.SERVING and not stalled:
                since = time  # restarted between two looks
        findings = self._relevant(since)
        found = strongest(findings)
        storm = self.evidence.storm(self.page)
        if found is not None:
            cause = found.cause
            findings.sort(key=lambda one: one is not found)
        elif storm:
            cause = Cause.PREEMPTION_STORM
        elif kind == "hung":
            cause = Cause.HUNG
        else:
            cause = Cause.START_FAILED if kind == "failed to start" else Cause.UNKNOWN
        evidence = [one.text for one in findings]
        if storm:
            evidence.append(storm)
        ending = Ending(
            instance=self.instance,
            kind=kind,
            cause=cause,
            place=RANK[cause] if found is None else found.place,
            since=since,
            told_at=time,
            answered_at=self.answered_at,
            served_since=self.served_since,
            page=self.page,
            failure="" if stalled else self._failure,
            how=how,
            evidence=tuple(evidence),
            gone=gone,
            stalled=stalled,
            seen=self._process is not None,
        )
        self.phase, self.ending, self._left = Phase.OVER, ending, gone
        self.evidence.clear()
        return ending
