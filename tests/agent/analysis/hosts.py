"""A small host in frames, for the tests of what follows engines over their lives."""

from collections.abc import Sequence

from agent.catalog import engine, gpu
from agent.catalog import placement as placement_catalog
from agent.model import Frame, SeriesTable

START = 1_800_000_000.0
GPU = ("0", "GPU-a", "")


class Host:
    """A server with one replica, idle, with or without a GPU.

    Args:
        name: of the instance.
        seqs: its limit on sequences.
        version: of the engine.
        driver: version of the driver, None where no GPU is shown.
        gpu_name: of the GPU.
    """

    def __init__(
        self,
        *,
        name: str = "chat",
        seqs: float = 32.0,
        version: str = "0.32.0",
        driver: str | None = "580.1",
        gpu_name: str = "NVIDIA H200",
    ) -> None:
        self.table = SeriesTable()
        self.name = name
        self.seqs = seqs
        self.version = version
        self.driver = driver
        self.gpu_name = gpu_name
        self.time = START

    def frame(self) -> Frame:
        """Return the frame of the next second."""
        own = ("vllm", self.name)
        replica = (*own, "m", "0")
        known = dict.fromkeys(engine.INFO.labels, "")
        known |= dict(zip(engine.INSTANCE, own, strict=True))
        known |= {"version": self.version, "model_name": "m"}
        intern = self.table.intern
        samples = {
            intern(engine.REQUESTS_RUNNING, replica): 0.0,
            intern(engine.REQUESTS_WAITING, replica): 0.0,
            intern(engine.KV_CACHE_CAPACITY, replica): 100_000.0,
            intern(engine.PROMPT_TOKENS, replica): 0.0,
            intern(engine.GENERATION_TOKENS, replica): 0.0,
            intern(engine.TIME_TO_FIRST_TOKEN, replica, suffix="_count"): 0.0,
            intern(engine.MAX_NUM_SEQS, own): self.seqs,
            intern(engine.INFO, [*known.values()]): 1.0,
        }
        if self.driver is not None:
            facts = dict.fromkeys(gpu.INFO.labels, "")
            facts |= dict(zip(gpu.LABELS, GPU, strict=True))
            facts |= {"name": self.gpu_name, "driver_version": self.driver}
            samples[intern(gpu.INFO, [*facts.values()])] = 1.0
            samples[intern(gpu.UP, GPU)] = 1.0
            samples[intern(placement_catalog.PINNED_INFO, (*own, "0"))] = 1.0
            samples[intern(gpu.INDEX, GPU[:2])] = 0.0
        self.time += 1.0
        return Frame(self.time, self.table, [*samples], [*samples.values()])

    def frames(self, seconds: int) -> Sequence[Frame]:
        """Return the frames of so many seconds."""
        return [self.frame() for _ in range(seconds)]
