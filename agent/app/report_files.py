"""Reports as files: written whole or not at all, and of a folder of them the newest kept."""

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.app.report import FORMS
from agent.report.report import Report, ReportError

_SUFFIXES: Final = {"html": ".html", "json": ".json"}
_NAME: Final = re.compile(r"(report-\d{8}T\d{4}Z)\.(?:html|json)")


def into(
    folder: Path,
    report: Report,
    *,
    keep: int,
    forms: Mapping[str, Callable[[Report], str]] = FORMS,
) -> None:
    """Write a report into a folder, which is made if it is missing, and remove the oldest ones.

    Args:
        folder: where to.
        report: named by the end of its window.
        keep: reports that are kept, this one included.
        forms: how it becomes text.

    Raises:
        ReportError: it cannot be written.
    """
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"{folder}: {error.strerror}") from None
    end = datetime.fromtimestamp(report.document["window"]["end_timestamp_seconds"], UTC)
    for form, suffix in _SUFFIXES.items():
        write(folder / f"report-{end:%Y%m%dT%H%MZ}{suffix}", forms[form](report))
    names = [match for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    kept = sorted({match[1] for match in names})[-max(keep, 1) :]
    for match in names:
        if match[1] not in kept:
            (folder / match[0]).unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all; what is no plain file is written to as it is.

    Raises:
        ReportError: it cannot be written.
    """
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            # A file in the place of /dev/null or /dev/stdout would be the end of that device.
            path.write_text(text, encoding="utf-8")
            return
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
                file.write(text)
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from None


def _umask() -> int:
    """Return the permissions that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
