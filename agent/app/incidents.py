"""The incident recorder as the settings want it."""

from collections.abc import Callable
from pathlib import Path

from agent.app.version import version
from agent.config import Settings
from agent.incidents.folder import Folder
from agent.incidents.recorder import IncidentRecorder
from agent.incidents.writing import Rows
from agent.model import Clock, SeriesTable


def folder_of(settings: Settings, *, path: Path | None = None) -> Folder:
    """Return the folder of the incidents: beside the history unless something else is said."""
    chosen = settings.incidents
    return Folder(
        path or chosen.path or settings.history.path.parent / "incidents",
        max_count=chosen.max_count,
        max_size=chosen.max_size,
    )


def new_recorder(
    settings: Settings,
    table: SeriesTable,
    *,
    rows: Rows,
    clock: Clock,
    told: Callable[[str], None],
) -> IncidentRecorder | None:
    """Return the recorder of a run, None where it is switched off.

    Args:
        settings: where incidents go, and how much of them is kept.
        table: explains the series of the frames.
        rows: the ticks in memory.
        clock: of the run.
        told: called with a sentence for the log, from any thread.
    """
    if not settings.incidents.enabled:
        return None
    return IncidentRecorder(
        folder_of(settings), table=table, rows=rows, clock=clock, version=version(), told=told
    )
