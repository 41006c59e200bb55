"""What the agent is told where a real engine is broken in front of it."""

from pathlib import Path

from agent.config.reader import read_settings
from agent.config.settings import Settings
from evaluation.faults_host import Engine, configuration


def settings(folder: Path, *, engine: Engine | None) -> Settings:
    """Return what the agent reads in the configuration."""
    receiver = "http://127.0.0.1:9093"
    text = configuration(9745, alertmanager=receiver, state=folder, engine=engine)
    return read_settings(text, "config.yaml", engines=["vllm"])


def test_the_log_of_the_engine_is_told(tmp_path: Path):
    """Under the name by which the agent would call the engine, so that nothing else changes."""
    engine = Engine(tmp_path, tmp_path)
    (told,) = settings(tmp_path, engine=engine).collectors.engines.instances
    assert (told.name, told.url) == (f"vllm-{engine.port}", engine.url)
    assert told.log_file == tmp_path / "vllm.log"


def test_of_an_engine_that_is_to_be_found_nothing_is_told(tmp_path: Path):
    """The planner's day begins with what the agent finds by itself."""
    assert settings(tmp_path, engine=None).collectors.engines.instances == ()
