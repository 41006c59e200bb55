"""A host with engines as frames show it, tick by tick, without any source."""

from collections.abc import Sequence

from agent.catalog import agent, engine, gpu, placement, process
from agent.model import Event, Frame, Metric, SeriesTable

CHAT = ("vllm", "chat")
START = 1_800_000_000.0


class Watched:
    """One engine and what is around it; values stay until they are changed.

    Attributes:
        time: of the next frame.
        failures: of the next frames.
    """

    def __init__(self, instance: tuple[str, str] = CHAT, *, time: float = START) -> None:
        self.table = SeriesTable()
        self.time = time
        self.failures: dict[str, str] = {}
        self._instance = instance
        self._values: dict[int, float] = {}
        self._ids: list[int] = []

    def set(self, metric: Metric, value: float | None, *labels: str) -> None:
        """Give a series a value, or take it away."""
        series_id = self.table.intern(metric, labels)
        if value is None:
            self._values.pop(series_id, None)
        else:
            self._values[series_id] = value

    def page(self, **values: float) -> None:
        """Let the engine answer with these numbers, by the name of the metric in the catalogue."""
        self.failures.pop(f"engine/{self._instance[1]}", None)
        self.set(agent.ENGINE_UP, 1.0, *self._instance)
        for name, value in values.items():
            metric: Metric = getattr(engine, name)
            labels = [*self._instance, "m", ""]
            if metric is engine.HTTP_RESPONSES or metric is engine.REQUESTS_FINISHED:
                raise ValueError("use answers")
            self.set(metric, value, *labels[: len(metric.labels)])

    def answers(self, *, well: float, badly: float = 0.0) -> None:
        """Let the engine have given so many answers."""
        labels = (*self._instance, "m", "")
        self.set(engine.HTTP_RESPONSES, well, *labels, "2xx")
        self.set(engine.HTTP_RESPONSES, badly, *labels, "5xx")

    def silent(self, why: str = "cannot connect to http://x: refused") -> None:
        """Let the engine not answer."""
        self.set(agent.ENGINE_UP, 0.0, *self._instance)
        self.failures[f"engine/{self._instance[1]}"] = why

    def processes(self, *pids: str, on: str = "", began: float | None = None) -> None:
        """Let these be the engine's processes, the first its server, all on a GPU if given.

        Args:
            pids: their numbers.
            on: the GPU.
            began: Unix seconds at which the server began, None where that is not known.
        """
        self.set(process.SERVER_START, began, *self._instance)
        for series_id in list(self._values):
            if self.table[series_id].metric in (placement.PROCESS_INFO, gpu.PROCESS_MEMORY):
                del self._values[series_id]
        self.set(process.PROCESSES, 1.0 if pids else 0.0, *self._instance, "server")
        for number, pid in enumerate(pids):
            role = "worker" if number else "server"
            self.set(placement.PROCESS_INFO, 1.0, *self._instance, role, pid, "")
            if on:
                self.set(gpu.PROCESS_MEMORY, 1e9, "0", on, "", pid, role)

    def frame(self, *events: Event, seconds: float = 1.0) -> Frame:
        """Return the frame of a tick, and let time pass."""
        ids = [*self._values]
        if ids != self._ids:
            self._ids = ids
        frame = Frame(
            self.time,
            self.table,
            self._ids,
            [*self._values.values()],
            events,
            failures=dict(self.failures),
        )
        self.time += seconds
        return frame

    def frames(self, count: int, events: Sequence[Event] = ()) -> list[Frame]:
        """Return as many frames; the events are in the first."""
        return [self.frame(*(events if not number else ())) for number in range(count)]
