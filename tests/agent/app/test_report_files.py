"""Reports as files."""

import os
from pathlib import Path

import pytest

from agent.app.report_files import into, write
from agent.report.report import Report, ReportError

HOUR = 3600.0


def _report(end: float) -> Report:
    """Return a report of nothing that ends at a time."""
    window = {
        "start_timestamp_seconds": end - HOUR,
        "end_timestamp_seconds": end,
        "length_seconds": HOUR,
        "every_sample_since_timestamp_seconds": None,
    }
    document = {
        "host": "h", "agent_version": "1", "generated_timestamp_seconds": end, "window": window,
        "subjects": [], "incidents": [], "alerts": [], "missing": [],
    }  # fmt: skip
    return Report(document=document, sections=[])


def test_the_newest_are_kept(tmp_path: Path):
    """The oldest go, in both forms; files of others stay, and nothing half written is left."""
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "notes.html").write_text("mine")
    for hour in range(4):
        into(folder, _report(1_800_000_000.0 + hour * HOUR), keep=2)

    assert sorted(path.name for path in folder.iterdir()) == [
        "notes.html",
        "report-20270115T1000Z.html", "report-20270115T1000Z.json",
        "report-20270115T1100Z.html", "report-20270115T1100Z.json",
    ]  # fmt: skip


def test_a_file_is_replaced_as_a_whole(tmp_path: Path):
    """Whoever reads it meanwhile has the old one."""
    path = tmp_path / "r.html"
    write(path, "old")
    with path.open() as reading:
        write(path, "new")
        assert reading.read() == "old"

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_stays_a_device(tmp_path: Path):
    """Whoever is root and writes to /dev/null or /dev/stdout still has it afterwards."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "behind")
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reading:
        write(pipe, "text")
        assert reading.read() == b"text"
    write(link, "text")
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert (tmp_path / "behind").read_text() == "text"
    with pytest.raises(ReportError, match="Is a directory"):
        write(tmp_path, "text")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path):
    """With its name, as an error of the command."""
    file = tmp_path / "file"
    file.write_text("")

    with pytest.raises(ReportError, match="file"):
        into(file / "reports", _report(0.0), keep=1)
    with pytest.raises(ReportError, match="nowhere"):
        write(tmp_path / "nowhere" / "r.html", "text")
