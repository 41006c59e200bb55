"""Commands over files that whoever calls them may not see."""

from pathlib import Path

import pytest

from agent.__main__ import main, parser
from tests.fakes.closed import closed


@pytest.mark.parametrize("command", [["replay"], ["record", "--duration", "1s"]])
def test_a_folder_that_is_closed_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
):
    """Which file it is about, and no traceback: whoever reads it can change that."""
    file = tmp_path / "folder" / "host.rec.gz"
    file.parent.mkdir()
    parser()  # imports what nobody may read
    with closed(file.parent):
        assert main([*command, str(file)]) == 1
    assert capsys.readouterr().err == f"{file}: Permission denied\n"


@pytest.mark.parametrize("command", [["replay"], ["record", "--duration", "1s"]])
def test_a_name_that_no_file_can_have_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], command: list[str]
):
    """Such as a whole sentence that a shell took for the name."""
    name = "x" * 300
    assert main([*command, name]) == 1
    assert capsys.readouterr().err == f"{name}: File name too long\n"
