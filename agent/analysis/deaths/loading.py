"""Whether an engine that does not answer loads: its process is younger than its last answer."""

from collections.abc import Iterator

from agent.analysis.deaths.page import Page
from agent.catalog import incident as catalog
from agent.model import Metric


class Loading:
    """Follows for how long an engine has not answered, and for how long its process has run so.

    Attributes:
        silent: seconds since its page was last read; 0 while it is, None before it ever was.
        lasted: seconds since the process began that has not answered yet; None where there is none.
        usual: seconds that this took when it was last seen to end; None where it never was.
    """

    def __init__(self) -> None:
        self.silent: float | None = None
        self.lasted: float | None = None
        self.usual: float | None = None
        self._began: float | None = None
        self._age = 0.0

    def tick(self, time: float, page: Page, *, passed: float, processes: bool) -> None:
        """Follow a tick.

        Args:
            time: Unix seconds.
            page: the engine's numbers.
            passed: seconds since the tick before, whatever became of the clock on the wall.
            processes: whether what is said of processes can be relied upon.
        """
        # Counted on from the first look at a process, so that a clock that is set changes no age.
        self._age += passed
        if page.began is not None and page.began != self._began:
            self._began, self._age = page.began, max(0.0, time - page.began)
        if page.up:
            if self.lasted is not None:
                self.usual = self.lasted + passed
            self.silent, self.lasted = 0.0, None
            return
        if self.silent is not None:
            self.silent += passed
        known = processes and page.servers and page.began is not None
        younger = self.silent is None or self._age < self.silent
        self.lasted = self._age if known and younger else None

    def samples(self) -> Iterator[tuple[Metric, float]]:
        """Yield what is known of it."""
        if self.silent:
            yield catalog.SILENT, self.silent
        if self.lasted is not None:
            yield catalog.LOADING, self.lasted
        if self.usual is not None:
            yield catalog.STARTUP, self.usual
