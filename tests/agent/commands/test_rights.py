"""Commands over files that whoever calls them may not see."""

from pathlib import Path

import pytest

from agent.__main__ import main
from tests.fakes.closed import closed


@pytest.mark.parametrize("command", [["replay"], ["record", "--duration", "1s"]])
def test_a_folder_that_is_closed_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
):
    """Which file it is about, and no traceback: whoever reads it can change that."""
    file = tmp_path / "folder" / "host.rec.gz"
    file.parent.mkdir()
    with closed(file.parent):
        assert main([*command, str(file)]) == 1
    assert capsys.readouterr().err == f"{file}: Permission denied\n"
