"""The table of subcommands: complete, and none pays for what others need."""

import subprocess
import sys
from pathlib import Path

import pytest

from agent import commands
from agent.__main__ import parser

FOLDER = Path(commands.__file__).parent
HELPERS = {"__init__", "common"}


def test_each_file_is_a_subcommand():
    """A file in the folder can be asked for by its name."""
    assert {file.stem for file in FOLDER.glob("*.py")} - HELPERS == set(commands.NAMES)


def test_the_help_names_all():
    """Without a subcommand, or with one that there is not, all are known."""
    for asked in ("", "--help", "nagois"):
        told = parser(asked).format_help()
        assert [name for name in commands.NAMES if name.replace("_", "-") not in told] == []


@pytest.mark.parametrize(
    ("asked", "needless"),
    [
        ("nagios", {"numpy", "sqlite3", "aiohttp.web", "agent.pipeline"}),
        ("report", {"agent.app.live", "agent.app.conclusions", "agent.analysis.engines"}),
        ("metrics", {"numpy", "sqlite3", "aiohttp", "yaml", "agent.config"}),
        ("run", {"prometheus_client", "multiprocessing", "grpc"}),
        ("run", {"importlib.metadata", "importlib.resources", "zipfile", "csv"}),
        ("run", {"statistics", "difflib", "numpy.ma", "bcrypt"}),
    ],
)
def test_a_subcommand_imports_no_other(asked: str, needless: set[str]):
    """A check of every minute, or a report in its own process, does not load the daemon."""
    code = (
        # The developers' tools bring `rich` along, which structlog imports where it finds it.
        "import sys; sys.modules['rich'] = None;"
        "from agent.__main__ import parser; parser(sys.argv[1]);"
        "sys.argv[1] != 'report' or __import__('agent.app.report'); print(*sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-c", code, asked], capture_output=True, text=True, check=True
    )
    loaded = set(found.stdout.split())
    assert needless & loaded == set()
    assert {name for name in commands.NAMES if f"agent.commands.{name}" in loaded} == {asked}
