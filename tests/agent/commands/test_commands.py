"""The table of subcommands: complete, and none pays for what others need."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent import commands
from agent.__main__ import parser

FOLDER = Path(commands.__file__).parent
HELPERS = {"__init__", "common"}
_USUAL = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
"""The environment of users: nothing in it makes output unbuffered."""


def test_each_file_is_a_subcommand():
    """A file in the folder can be asked for by its name."""
    assert {file.stem for file in FOLDER.glob("*.py")} - HELPERS == set(commands.NAMES)


def test_the_help_names_all():
    """Without a subcommand, or with one that there is not, all are known."""
    for asked in ("", "--help", "nagois"):
        told = parser(asked).format_help()
        assert [name for name in commands.NAMES if name.replace("_", "-") not in told] == []


@pytest.mark.parametrize("arguments", [["metrics"], ["check-rules"]])
def test_who_reads_no_further_is_no_error(arguments: list[str]):
    """`inferwatch … | head` ends without a word, however much or little is still to be written."""
    reading, writing = os.pipe()
    os.close(reading)
    assert _written_to(writing, arguments) == (1, "")


@pytest.mark.parametrize("arguments", [["metrics"], ["check-rules"]])
def test_a_full_disk_under_the_output_is_said(arguments: list[str]):
    """Whoever redirects into a file on a full disk reads why it is not whole, in one line."""
    full = os.open("/dev/full", os.O_WRONLY)
    assert _written_to(full, arguments) == (1, "the output: No space left on device\n")


@pytest.mark.parametrize(
    "locale",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C"}],
    ids=["ASCII", "what Python makes of C"],
)
def test_names_that_a_locale_has_no_characters_for_are_escaped(locale: dict[str, str]):
    """As under cron: what others named is printed in some way, whatever it is."""
    code = "from agent import __main__ as m; m._write_anything(); print('\\u2026 \\ud800')"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        cwd=FOLDER.parents[1],
        env=_USUAL | locale,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.endswith(b" \\ud800\n")


def test_closed_streams_are_those_of_nowhere():
    """As some supervisors start it: the log finds a stream, and no file gets number 0, 1 or 2."""
    code = (
        "import os; from agent import __main__ as m; from agent.log import configure_logging;"
        "from agent.config.settings import Logging; m._open_streams();"
        "configure_logging(Logging()); import structlog;"
        "structlog.get_logger().warning('heard by nobody');"
        "os._exit(os.open(os.devnull, os.O_RDONLY))"
    )
    ended = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, code],
        check=False,
        cwd=FOLDER.parents[1],
        env=_USUAL,
    )
    assert ended.returncode == 3


def _written_to(output: int, arguments: list[str]) -> tuple[int, str]:
    """Run a command with this output, buffered as it is for users; return status and errors."""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "agent", *arguments],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=FOLDER.parents[1],
            env=_USUAL,
        )
    finally:
        os.close(output)
    return ended.returncode, ended.stderr


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
