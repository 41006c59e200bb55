"""Incidents of a window of time, with how long it took to notice and to end them."""

from datetime import UTC, datetime
from typing import Any, Final

from agent.incidents.folder import Entry, Folder
from agent.incidents.post_mortem import post_mortem
from agent.model import InferwatchError

MOST: Final = 20
"""Incidents that are read, the newest; each takes a moment."""


def happened(folder: Folder, start: float, end: float) -> list[dict[str, Any]]:
    """Return the incidents whose recording began in (start, end], the oldest first.

    Those before the newest `MOST` are named only; of one that cannot be read it is said why.

    Raises:
        IncidentError: the folder may not be read.
    """
    entries = [entry for entry in folder.entries() if start < _time(entry) <= end]
    named = [_incident(entry, "there are too many to read them all") for entry in entries[:-MOST]]
    return [*named, *(_read(entry) for entry in entries[-MOST:])]


def _time(entry: Entry) -> float:
    """Return when an incident was recorded, as its name says; 0 where it says no time."""
    try:
        return datetime.strptime(entry.id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _read(entry: Entry) -> dict[str, Any]:
    """Return an incident."""
    try:
        found = post_mortem(entry.path)
    except (InferwatchError, OSError) as error:
        return _incident(entry, str(error))
    began = found["began_timestamp_seconds"]
    ended = found["ended_timestamp_seconds"]
    return {
        **_incident(entry, found["recorded"]["problem"]),
        "trigger": found["trigger"],
        "instance_name": found["engine"],
        "text": found["text"],
        "began_timestamp_seconds": began,
        "detected_timestamp_seconds": found["detected_timestamp_seconds"],
        "ended_timestamp_seconds": ended,
        "time_to_detect_seconds": found["detection_delay_seconds"],
        "time_to_resolve_seconds": None if ended is None else max(0.0, ended - began),
    }


def _incident(entry: Entry, problem: str) -> dict[str, Any]:
    """Return what is known without reading it."""
    return {
        "id": entry.id,
        "problem": problem,
        "trigger": "",
        "instance_name": "",
        "text": "",
        "began_timestamp_seconds": None,
        "detected_timestamp_seconds": None,
        "ended_timestamp_seconds": None,
        "time_to_detect_seconds": None,
        "time_to_resolve_seconds": None,
    }
