"""Who has come and waits, and whose client may give up."""

import heapq
import math
from collections import deque

from tests.simulator.request import Request
from tests.simulator.workload import Workload


class Intake:
    """The door of an engine.

    Args:
        workload: who comes.
        longest: tokens of a request at most; longer ones are cut.

    Attributes:
        waiting: who waits, the next one first.
    """

    __slots__ = ("_aborts", "_longest", "_serial", "_workload", "waiting")

    def __init__(self, workload: Workload, longest: int) -> None:
        self.waiting: deque[Request] = deque()
        self._workload = workload
        self._longest = longest
        self._aborts: list[tuple[float, int, Request]] = []
        self._serial = 0

    @property
    def next(self) -> float:
        """Return when somebody comes or gives up next."""
        return min(self._workload.next, self.next_abort)

    @property
    def next_abort(self) -> float:
        """Return when somebody gives up next, if only one that is done already."""
        return self._aborts[0][0] if self._aborts else math.inf

    def turn_away(self, until: float) -> None:
        """Serve nobody who comes before a moment."""
        while self._workload.next < until:
            self._workload.ended(self._workload.pop(), until)

    def let_in(self, time: float) -> None:
        """Let everybody wait who has come by now."""
        workload = self._workload
        while workload.next <= time:
            request = workload.pop()
            request.cut(self._longest)
            self.waiting.append(request)
            if request.abort < math.inf:
                self._serial += 1
                heapq.heappush(self._aborts, (request.abort, self._serial, request))

    def given_up(self, time: float) -> list[Request]:
        """Return whose client has given up by now; some of them are done already."""
        found = []
        while self._aborts and self._aborts[0][0] <= time:
            found.append(heapq.heappop(self._aborts)[2])
        return found
