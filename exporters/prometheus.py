"""The page that Prometheus scrapes, rendered from the newest frame without any I/O."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from agent.model import Clock, Frame
from exporters.exposition import Page

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# What a client says of itself is the same at each scrape.
_HEADERS_KEPT: Final = 64


class PrometheusExporter:
    """Keeps the newest frame and renders it on demand."""

    name = "prometheus"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._frame: Frame | None = None
        self._published = 0.0
        self._page = Page()

    async def publish(self, frame: Frame) -> None:
        """Take over the newest frame."""
        before, self._frame = self._frame, frame
        self._published = self.clock.monotonic()
        if before is not None and self._page.shown is before:
            # Whoever asked for the last page will ask for this one, and has it sooner; the values
            # are still in the processor's cache.
            self._page.write(frame)

    async def aclose(self) -> None:
        """Nothing to let go of."""

    @property
    def frame(self) -> Frame | None:
        """The newest frame, None before the first tick."""
        return self._frame

    def time(self) -> float:
        """Return Unix seconds now."""
        return self.clock.time()

    def age(self) -> float | None:
        """Return the seconds since the newest frame was published, None before the first."""
        return None if self._frame is None else self.clock.monotonic() - self._published

    def render(self, *, openmetrics: bool) -> bytes:
        """Return the page in the text format or in OpenMetrics, in UTF-8."""
        frame = self._frame
        if frame is None:
            return b"# EOF\n" if openmetrics else b""
        age = self.clock.monotonic() - self._published
        return self._page.text(frame, openmetrics=openmetrics, age=age)


@lru_cache(_HEADERS_KEPT)
def accepts_openmetrics(accept: str) -> bool:
    """Return whether a client prefers OpenMetrics, by its `Accept` header (RFC 9110, 12.5.1)."""
    best = {"openmetrics": 0.0, "text": 0.0}
    for kind, quality in _weighted(accept):
        if kind == "application/openmetrics-text":
            best["openmetrics"] = max(best["openmetrics"], quality)
        elif kind in ("text/plain", "text/*", "*/*"):
            best["text"] = max(best["text"], quality)
    return best["openmetrics"] > 0 and best["openmetrics"] >= best["text"]


@lru_cache(_HEADERS_KEPT)
def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether a client takes gzip, by its `Accept-Encoding` header (RFC 9110, 12.5.3)."""
    return any(kind == "gzip" and quality > 0 for kind, quality in _weighted(accept_encoding))


def _weighted(header: str) -> Iterator[tuple[str, float]]:
    """Yield what a header lists, in lower case, each with its weight."""
    for item in header.lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                quality = _quality(value)
        yield kind, quality


def _quality(text: str) -> float:
    """Return a weight from 0 to 1; one that makes no sense counts as 0."""
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
