"""What the commands say and how they end."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import yaml

from agent.__main__ import main
from agent.commands.metrics import metrics_page
from agent.config import Settings, load_settings
from agent.config.settings import PLACE, EngineInstance
from agent.model import SeriesTable
from agent.recording import RecordingWriter
from collectors.engines import ENGINES
from tests.e2e.process import free_port

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.yaml"


def test_the_example_is_the_defaults():
    """Whoever starts from the example changes nothing by it."""
    assert load_settings(EXAMPLE, engines=ENGINES) == Settings()


def test_the_example_is_complete():
    """Every key that can be set stands in the example, also those without a default."""
    text = EXAMPLE.read_text()
    document = yaml.safe_load(text)

    def missing(kind: Any, given: Any, path: str) -> list[str]:
        found = []
        for item in fields(kind):
            if PLACE in item.metadata:  # nothing that can be set
                continue
            if item.name not in given:
                found.append(f"{path}{item.name}")
            elif is_dataclass(get_type_hints(kind)[item.name]):
                below = get_type_hints(kind)[item.name]
                found += missing(below, given[item.name], f"{path}{item.name}.")
        return found

    assert missing(Settings, document, "") == []
    # Instances have no default, so they stand there as a comment: the keys at least must.
    assert [key for key in _keys(EngineInstance) if f"{key}:" not in text] == []


def _keys(kind: Any) -> list[str]:
    """Return the names of all keys below a class of the schema."""
    names = []
    for name, hint in get_type_hints(kind).items():
        names.append(name)
        arms = get_args(hint) if get_origin(hint) is not None else (hint,)
        names += [below for arm in arms if is_dataclass(arm) for below in _keys(arm)]
    return names


def test_the_commented_instances_are_valid(tmp_path: Path):
    """The example's engines can be used by taking the comment signs away."""
    lines = EXAMPLE.read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if "instances: []" in line)
    end = next(at for at, line in enumerate(lines) if line.startswith("exporters:"))
    block = [line.replace("    # ", "      ", 1) for line in lines[start + 1 : end] if line]
    text = "\n".join([*lines[:start], "    instances:", *block, *lines[end:]])
    path = tmp_path / "config.yaml"
    path.write_text(text)
    instances = load_settings(path, engines=ENGINES).collectors.engines.instances
    assert [instance.name for instance in instances] == ["chat", "local"]


def test_check_config_says_that_a_file_is_good(capsys: pytest.CaptureFixture[str]):
    """A good file ends with 0 and a word."""
    assert main(["check-config", str(EXAMPLE)]) == 0
    assert capsys.readouterr().out == f"{EXAMPLE}: good\n"


def test_check_config_says_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """File, line, key, what was expected and the nearest key, for all problems; exit status 2."""
    path = tmp_path / "bad.yaml"
    path.write_text("tick:\n  intervall: 1s\nlogging:\n  level: loud\n")
    assert main(["check-config", str(path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{path}:2: tick.intervall: unknown key; did you mean 'interval'?",
        f"{path}:4: logging.level: expected one of debug, info, warning, error, found 'loud'",
    ]


def test_check_config_says_which_secrets_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """By the key that names the file; the agent starts all the same, as they may come later."""
    path, token = tmp_path / "config.yaml", tmp_path / "token"
    path.write_text(
        "collectors: {engines: {instances: [{name: chat, engine: vllm, url: 'https://gpu7',"
        f" tls: {{ca_file: {tmp_path}/ca.pem}}, bearer_token: {{file: {token}}}}}]}}}}\n"
        "exporters: {keep: {receivers: [{name: keep, url: 'http://keep',"
        f" api_key: {{file: {token}}}}}, {{name: other, url: 'http://keep',"
        " api_key: {env: KEEP_API_KEY}}]}}\n"
    )
    token.touch()
    assert main(["check-config", str(path)]) == 0
    chat = f"{path}: collectors.engines.instances[chat]"
    assert capsys.readouterr().out.splitlines() == [
        f"{chat}.bearer_token: the secret in {token} is empty",
        f"{chat}.tls.ca_file: {tmp_path}/ca.pem cannot be read: No such file or directory",
        f"{path}: exporters.keep.receivers[keep].api_key: the secret in {token} is empty",
        f"{path}: good, but for what is said above",
    ]
    token.write_text("t0p")
    (tmp_path / "ca.pem").touch()
    assert main(["check-config", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: good\n"


def test_one_version_of_each_dependency():
    """What `make demo` installs is, pin for pin, a part of what `make test` installs."""
    run, dev = (
        {
            line.split()[0]
            for line in (ROOT / "requirements" / name).read_text().splitlines()
            if "==" in line
        }
        for name in ("run.lock", "dev.lock")
    )
    assert run
    assert run <= dev


def test_the_table_of_metrics_is_made_from_the_catalogue():
    """`docs/metrics.md` is what `make docs` writes."""
    assert (ROOT / "docs" / "metrics.md").read_text() == metrics_page()


def test_what_is_no_recording_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A file that is something else ends with 2 and its name."""
    path = tmp_path / "x.rec.gz"
    path.write_text("hello")
    assert main(["replay", str(path), "--print"]) == 2
    assert str(path) in capsys.readouterr().err


def test_a_recording_without_ticks_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A recorder that was ended before its first tick leaves nothing to play: status 1, a line."""
    path = tmp_path / "x.rec.gz"
    RecordingWriter(path, SeriesTable(), header={}).close()
    told = f"{path}: holds no ticks: its recorder ended before the first\n"
    assert main(["replay", str(path), "--print"]) == 1
    assert capsys.readouterr() == ("", told)
    assert main(["replay", str(path), "--listen", f"127.0.0.1:{free_port()}"]) == 1
    assert capsys.readouterr().err.endswith(told)
    assert main(["backtest", str(path)]) == 1
    assert capsys.readouterr() == ("", told)
