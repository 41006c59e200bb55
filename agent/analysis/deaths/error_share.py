"""Which share of the requests to an engine failed, those that nobody could take included.

A page counts only what its server answered: the last good page of an engine that dies shows
nothing wrong. So demand goes on in the reckoning while the engine cannot be reached:

    share = (errors + lost + rate · away) / (answers + lost + rate · away)

over the trailing window, `rate` being answers a second while it could be reached, `away` the
seconds in which it could not, and `lost` the requests that were in it when it went.
"""

from collections import deque
from operator import add, sub
from typing import Final, NamedTuple

from agent.analysis.deaths.page import Page

WINDOW: Final = 120.0
"""Seconds over which the share is taken."""

_GAP: Final = 15.0


class _Piece(NamedTuple):
    """What happened between two ticks."""

    time: float
    seconds: float
    away: float
    answers: float
    errors: float
    lost: float


class ErrorShare:
    """Follows one engine; in constant time a tick."""

    def __init__(self) -> None:
        self._pieces: deque[_Piece] = deque()
        self._sums = [0.0, 0.0, 0.0, 0.0, 0.0]
        self._before: Page | None = None
        self._time: float | None = None
        self._was_up = False
        self._rate = 0.0

    def tick(self, time: float, page: Page) -> float | None:
        """Return the share, from 0 to 1; None where nobody asked or nothing is counted.

        Args:
            time: Unix seconds.
            page: the engine's numbers of this tick.
        """
        seconds = 0.0 if self._time is None else time - self._time
        if not 0.0 <= seconds <= WINDOW:
            seconds = 0.0  # the clock was set
            self._pieces.clear()
            self._sums = [0.0] * 5
        self._time = time
        answers = errors = lost = 0.0
        before = self._before
        if page.up:
            if before is not None:
                answers = _growth(page.answers, before.answers)
                errors = min(answers, _growth(page.errors, before.errors))
            self._before = page
        elif self._was_up and before is not None:
            lost = before.requests or 0.0
        away = 0.0 if page.up else seconds
        self._was_up = page.up
        self._add(_Piece(time, seconds, away, answers, errors, lost))
        return self._share()

    def _add(self, piece: _Piece) -> None:
        """Take a piece and let go of those that are too old."""
        pieces, oldest = self._pieces, piece.time - WINDOW
        pieces.append(piece)
        sums = [*map(add, self._sums, piece[1:])]
        while pieces and pieces[0].time <= oldest:
            sums = [*map(sub, sums, pieces.popleft()[1:])]
        self._sums = sums

    def _share(self) -> float | None:
        """Return the share of the window."""
        if self._before is None or self._before.answers is None:
            return None
        seconds, away, answers, errors, lost = self._sums
        reachable = seconds - away
        if reachable >= _GAP:
            self._rate = answers / reachable
        unheard = self._rate * away + (lost if away > 0 else 0.0)
        asked = answers + unheard
        # Sums of sums leave rests: less than a thousandth of a request is none.
        if asked < 1e-3:  # noqa: PLR2004
            return None
        return min(1.0, max(0.0, (errors + unheard) / asked))


def _growth(now: float | None, before: float | None) -> float:
    """Return by how much a counter grew; after a restart it began at zero."""
    if now is None or before is None:
        return 0.0
    return now - before if now >= before else now
