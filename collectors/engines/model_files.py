"""The files of a model that a running engine was started with: their size, and the model's shape.

They may lie on a filesystem that hangs, so they are looked at in a thread that nobody waits for,
once for each start of the engine; until then, and where they cannot be seen, nothing is known.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final

from agent.aside import start_aside
from agent.catalog import placement as catalog
from agent.model import SeriesTable
from collectors.cgroup import cgroup_of
from collectors.engines.gguf import read_gguf
from collectors.engines.model_size import Shape, loaded_bytes, shape_of, token_bytes
from collectors.engines.process import EngineProcess
from collectors.engines.profile import Fact

_LONGEST: Final = 1 << 20  # bytes of a description that are read
_MOST_FILES: Final = 10_000
_HEADER: Final = 1 << 20  # of a GGUF file: what is wanted stands before the vocabulary


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What the files of a model say.

    Attributes:
        size: bytes of the weights, or None where none were found.
        shape: what decides the size of the KV cache, or None where it is not said.
        by_layer: its engine takes only as many layers onto GPUs as it is told to.
    """

    size: int | None = None
    shape: Shape | None = None
    by_layer: bool = False


NOTHING: Final = ModelFiles()


class ModelReader:
    """Knows the model files of one instance.

    Args:
        proc: mount point of procfs, through which an engine's own view of files is tried first.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._wanted: tuple[int, float, str] | None = None
        self._found: tuple[tuple[int, float, str], ModelFiles] | None = None
        self.thread: Thread | None = None

    def files(self, process: EngineProcess | None) -> ModelFiles:
        """Return what is known of the model of a process; begins to look where nobody has yet.

        Only an absolute path says which files they are.
        """
        model = "" if process is None else process.facts.get(Fact.MODEL, "")
        if process is None or not model.startswith("/"):
            return NOTHING
        wanted = (process.pid, process.start_time, model)
        if self._found is not None and self._found[0] == wanted:
            return self._found[1]
        if self._wanted != wanted and (self.thread is None or not self.thread.is_alive()):
            self._wanted = wanted
            self.thread = start_aside(lambda: self._look(wanted), name="model files")
        return NOTHING

    def _look(self, wanted: tuple[int, float, str]) -> None:
        """Look at the files; whatever is wrong with them, they are then unknown."""
        pid, _start, model = wanted
        found = NOTHING
        cgroup = cgroup_of(self._proc, pid)
        places = [f"{self._proc}/{pid}/root{model}"]
        if cgroup is None or not cgroup.is_container:
            places.append(model)  # the agent may not be allowed to look through the engine's eyes
        for place in places:
            # Anyone may write anything into these files.
            with contextlib.suppress(Exception):
                found = read_model(Path(place))
                break
        self._found = (wanted, found)


def read_model(path: Path) -> ModelFiles:
    """Return what a folder as Hugging Face lays it out, or a GGUF file, says of its model.

    Raises:
        OSError: it cannot be read.
        ValueError: it makes no sense.
    """
    if path.is_file():
        with path.open("rb") as file:
            return ModelFiles(path.stat().st_size, read_gguf(file.read(_HEADER)), by_layer=True)
    shape = shape_of(_document(path / "config.json"))
    index = _document(path / "model.safetensors.index.json")
    total = index.get("metadata", {}).get("total_size") if isinstance(index, dict) else None
    if isinstance(total, int) and total > 0:
        return ModelFiles(total, shape)
    sizes: dict[str, int] = {}
    with os.scandir(path) as entries:
        for number, entry in enumerate(entries):
            if number >= _MOST_FILES:
                break
            suffix = entry.name.rpartition(".")[2]
            # Mistral's own form of the same weights lies beside that of Hugging Face.
            if suffix in ("safetensors", "bin", "gguf") and not entry.name.startswith(
                ("consolidated", "training_args", "optimizer")
            ):
                sizes[suffix] = sizes.get(suffix, 0) + entry.stat().st_size
    kinds = (sizes[suffix] for suffix in ("safetensors", "bin", "gguf") if suffix in sizes)
    return ModelFiles(next(kinds, None), shape)


def model_samples(
    files: ModelFiles,
    known: Mapping[Fact, str],
    labels: tuple[str, str],
    table: SeriesTable,
) -> Iterator[tuple[int, float]]:
    """Yield the sizes that are known of an engine that serves these files.

    Of weights that lie partly in the host's memory, nobody knows here which part that is.
    """
    if files.size is not None and _is_offloaded(files, known):
        size = loaded_bytes(files.size, files.shape, known)
        yield table.intern(catalog.WEIGHTS_SIZE, labels), size
    size_of_token = None if files.shape is None else token_bytes(files.shape, known)
    if size_of_token is not None:
        yield table.intern(catalog.KV_CACHE_TOKEN_SIZE, labels), size_of_token


def _is_offloaded(files: ModelFiles, known: Mapping[Fact, str]) -> bool:
    """Return whether GPUs hold all weights; llama.cpp counts its output layer as one more."""
    if not files.by_layer:
        return True
    layers = known.get(Fact.GPU_LAYERS, "")
    most = None if files.shape is None else files.shape.layers
    return layers == "all" or (most is not None and layers.isdecimal() and int(layers) > most)


def _document(path: Path) -> object:
    """Return a JSON document, or None where there is none."""
    try:
        with path.open("rb") as file:
            return json.loads(file.read(_LONGEST))
    except (FileNotFoundError, NotADirectoryError):
        return None
