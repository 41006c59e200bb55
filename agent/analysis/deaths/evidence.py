"""What was found of one engine that may become the reason of its end."""

from collections import deque
from typing import Final

from agent.analysis.deaths.causes import Cause, Finding
from agent.analysis.deaths.page import Page

REACH: Final = 60.0
"""Seconds before an end in which evidence of it may lie."""

STORM: Final = 10
"""Preemptions of the last minute from which on they may be called a storm."""

REPEATED: Final = 1.0
"""Seconds within which the same evidence again is no other."""

_KEPT: Final = 64
_NOTE_EVERY: Final = 5.0
_NOTES: Final = 13  # a minute of them


class Evidence:
    """Keeps the findings, and the counters of the last minute of service."""

    def __init__(self) -> None:
        self._findings: deque[Finding] = deque(maxlen=_KEPT)
        self._notes: deque[tuple[float, float, float]] = deque(maxlen=_NOTES)
        self._kills: float | None = None

    def find(self, finding: Finding) -> None:
        """Take a piece of evidence; what is said again at once counts once."""
        known = any(
            one.cause is finding.cause and one.text == finding.text and one.ends is finding.ends
            for one in self._findings
            if finding.time - one.time <= REPEATED
        )
        if not known:
            self._findings.append(finding)

    def count_kills(self, time: float, kills: float | None) -> None:
        """Take the kernel's count of kills in the engine's cgroup for evidence when it grows."""
        before, self._kills = self._kills, kills
        if kills is not None and before is not None and kills > before:
            text = f"the kernel counted {kills - before:.0f} kills for lack of memory in its cgroup"
            self.find(Finding(time, Cause.OOM_KILL, text))

    def note(self, time: float, page: Page) -> None:
        """Keep the counters of a page."""
        notes = self._notes
        if notes and notes[-1][0] > time:
            notes.clear()
        if page.preemptions is not None and (not notes or time - notes[-1][0] >= _NOTE_EVERY):
            notes.append((time, page.preemptions, page.finished or 0.0))

    def begin_anew(self) -> None:
        """Forget the counters: they began at zero."""
        self._notes.clear()

    def clear(self) -> None:
        """Forget the findings: they have been told."""
        self._findings.clear()

    def near(self, moment: float) -> list[Finding]:
        """Return what was found from `REACH` seconds before a moment on."""
        return [one for one in self._findings if one.time >= moment - REACH]

    def last_exit(self) -> float | None:
        """Return when the server's process was last said to have ended, Unix seconds."""
        return next((one.time for one in reversed(self._findings) if one.ends), None)

    def storm(self, page: Page | None) -> str:
        """Return that the engine threw out more requests than it finished in its last minute."""
        if len(self._notes) < 2 or page is None:  # noqa: PLR2004 - growth needs two values
            return ""
        _time, preempted, finished = self._notes[0]
        thrown = (page.preemptions or 0.0) - preempted
        done = max(0.0, (page.finished or 0.0) - finished)
        if thrown < max(STORM, done):
            return ""
        return (
            f"in its last minute it preempted {thrown:.0f} requests for want of KV cache and "
            f"finished {done:.0f}"
        )
