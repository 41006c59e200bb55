"""One made-up history for all tests that read it."""

from pathlib import Path

import pytest

from tests.agent.report.made_up import write


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of a day and a quarter; nobody changes it."""
    path = tmp_path_factory.mktemp("report") / "history.db"
    write(path)
    return path
