"""The files of a model: how large they are and what they describe."""

import json
from pathlib import Path

import pytest

from agent.model import SeriesTable
from collectors.engines import ENGINES
from collectors.engines.model_files import (
    NOTHING,
    ModelFiles,
    ModelReader,
    model_samples,
    read_model,
)
from collectors.engines.model_size import Shape
from collectors.engines.process import EngineProcess
from collectors.engines.profile import Fact
from tests.fakes.proc import FakeProc

CONFIG = {
    "hidden_size": 1024,
    "num_attention_heads": 16,
    "num_hidden_layers": 8,
    "num_key_value_heads": 4,
    "torch_dtype": "bfloat16",
}
SHAPE = Shape(8, 4, 128, "bfloat16")
DOCKER = "0::/docker/" + "0123456789abcdef" * 4 + "\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a model of two files with a description, and what often lies beside them."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model-00001-of-00002.safetensors").write_bytes(bytes(700))
    (folder / "model-00002-of-00002.safetensors").write_bytes(bytes(300))
    (folder / "consolidated.safetensors").write_bytes(bytes(1000))
    (folder / "pytorch_model.bin").write_bytes(bytes(1000))
    (folder / "tokenizer.json").write_bytes(bytes(50))
    return folder


def _process(model: Path | str, *, pid: int = 7, start: float = 1.0) -> EngineProcess:
    """Return a vLLM that was started with a model."""
    facts = {Fact.MODEL: str(model)}
    return EngineProcess(engine=ENGINES["vllm"], pid=pid, start_time=start, facts=facts)


def _read(reader: ModelReader, process: EngineProcess | None) -> ModelFiles:
    """Return what a reader knows once it has looked."""
    reader.files(process)
    if reader.thread is not None:
        reader.thread.join(10)
    return reader.files(process)


def test_folder(model: Path):
    """The weights are counted once, in the first of the forms that engines prefer."""
    assert read_model(model) == ModelFiles(1000, SHAPE)


def test_index(model: Path):
    """Where an index says how large all parts are, that counts."""
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 990}, "weight_map": {}}))
    assert read_model(model).size == 990
    index.write_text("[]")
    assert read_model(model).size == 1000


def test_folder_without_weights(tmp_path: Path):
    """A folder with no weights in it says nothing."""
    assert read_model(tmp_path) == NOTHING


def test_old_form(tmp_path: Path):
    """Files of PyTorch count, and not what training left beside them."""
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(90))
    (tmp_path / "training_args.bin").write_bytes(bytes(900))
    assert read_model(tmp_path).size == 90


def test_reader(model: Path, tmp_path: Path):
    """Files are looked at beside the caller, and known from the look after."""
    reader = ModelReader(str(tmp_path / "proc"))
    assert reader.files(_process(model)) is NOTHING
    assert _read(reader, _process(model)) == ModelFiles(1000, SHAPE)


def test_files_are_read_once_for_each_start(model: Path, tmp_path: Path):
    """While an engine runs its files are not looked at again; after a restart they are."""
    reader = ModelReader(str(tmp_path / "proc"))
    first = _read(reader, _process(model))
    (model / "model-00001-of-00002.safetensors").write_bytes(bytes(800))
    assert _read(reader, _process(model)) is first
    assert _read(reader, _process(model, start=2.0)).size == 1100


@pytest.mark.parametrize("name", ["", "org/model", "./model"])
def test_names_that_are_no_place(name: str):
    """Only an absolute path says where the files are."""
    reader = ModelReader()
    assert _read(reader, _process(name)) is NOTHING
    assert reader.thread is None


def test_engine_of_another_host():
    """Without a process of this host nothing is looked for."""
    assert _read(ModelReader(), None) is NOTHING


def test_files_as_the_engine_sees_them(model: Path, tmp_path: Path):
    """What lies at the path within the engine's own root wins over the host's."""
    (tmp_path / "proc").mkdir()
    proc = FakeProc(tmp_path / "proc")
    proc.process(7, "vllm", cgroup=DOCKER)
    inside = proc.root / "7" / "root" / str(model).lstrip("/")
    inside.mkdir(parents=True)
    (inside / "model.safetensors").write_bytes(bytes(5))
    assert _read(ModelReader(str(proc.root)), _process(model)).size == 5


def test_container_that_cannot_be_looked_into(model: Path, tmp_path: Path):
    """The host's file at a path of a container may be another: nothing is known."""
    (tmp_path / "proc").mkdir()
    proc = FakeProc(tmp_path / "proc")
    proc.process(7, "vllm", cgroup=DOCKER)
    assert _read(ModelReader(str(proc.root)), _process(model)) is NOTHING


def test_files_that_make_no_sense(model: Path, tmp_path: Path):
    """A description that is none leaves everything unknown, and is not tried again each second."""
    (model / "config.json").write_text("{")
    reader = ModelReader(str(tmp_path / "proc"))
    assert _read(reader, _process(model)) is NOTHING
    thread = reader.thread
    assert _read(reader, _process(model)) is NOTHING
    assert reader.thread is thread


def _samples(files: ModelFiles, known: dict[Fact, str]) -> dict[str, float]:
    """Return the samples of an engine by the end of their names."""
    table = SeriesTable()
    found = model_samples(files, known, ("vllm", "chat"), table)
    return {
        table[number].metric.name.removeprefix("inferwatch_engine_"): value
        for number, value in found
    }


def test_samples():
    """What is known is said, and nothing else."""
    assert _samples(ModelFiles(1000, SHAPE), {}) == {
        "weights_bytes": 1000,
        "kv_cache_token_bytes": 8192,
    }
    assert _samples(ModelFiles(1000, None), {}) == {"weights_bytes": 1000}
    assert _samples(NOTHING, {}) == {}


@pytest.mark.parametrize(
    ("layers", "offloaded"),
    [("9", True), ("99", True), ("all", True), ("8", False), ("0", False), ("", False)],
)
def test_weights_in_host_memory(layers: str, *, offloaded: bool):
    """Of a model that lies partly on the host, or perhaps, nothing is said of its GPUs."""
    files = ModelFiles(1000, SHAPE, by_layer=True)
    assert ("weights_bytes" in _samples(files, {Fact.GPU_LAYERS: layers})) is offloaded
