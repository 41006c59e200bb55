"""The folder of the incidents: names, sizes, and room for the next one."""

import contextlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.model import InferwatchError

SUFFIX: Final = ".rec.gz"
_USUAL: Final = "incidents"
_NAME: Final = re.compile(r"(?P<id>\d{8}T\d{6}Z(?:-\d+)?)\.rec\.gz")


class IncidentError(InferwatchError):
    """There is no such incident, or none can be read."""

    exit_status = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the folder.

    Attributes:
        id: name of the incident.
        path: where it is.
        size: bytes.
    """

    id: str
    path: Path
    size: int


class Folder:
    """Incidents on disk. Files that are not called like one are left alone.

    Args:
        path: the folder, which is made when it is needed.
        max_count: incidents that are kept.
        max_size: bytes that they may take together.
    """

    def __init__(self, path: Path, *, max_count: int, max_size: int) -> None:
        self.path = path
        self.max_size = max_size
        self._max_count = max_count

    def new(self, time: float) -> Path:
        """Return the file of a new incident, named after its time; the folder is there then.

        Raises:
            OSError: the folder cannot be made.
        """
        self.path.mkdir(mode=0o750, parents=True, exist_ok=True)
        name = f"{datetime.fromtimestamp(time, UTC):%Y%m%dT%H%M%SZ}"
        path, number = self.path / (name + SUFFIX), 1
        while path.exists():
            number += 1
            path = self.path / f"{name}-{number}{SUFFIX}"
        return path

    def check(self) -> None:
        """Make sure that the agent could have kept incidents here.

        Raises:
            IncidentError: there is no such folder, it may not be read, or it is for other things.
        """
        try:
            names = [path.name for path in self.path.iterdir()]
        except FileNotFoundError:
            raise IncidentError(
                f"{self.path}: there is no such folder; the agent keeps incidents in the folder "
                "incidents beside its history, unless incidents.path of its configuration says "
                "otherwise"
            ) from None
        except NotADirectoryError:
            raise IncidentError(
                f"{self.path}: is no folder; inferwatch incidents show {self.path} reads one file"
            ) from None
        except OSError as error:
            raise IncidentError(f"{self.path}: cannot be read: {error.strerror}") from None
        if names and not any(map(_NAME.fullmatch, names)):
            below = f"; did you mean {self.path / _USUAL}?" if _USUAL in names else ""
            raise IncidentError(f"{self.path}: is for other things than incidents{below}")

    def entries(self) -> list[Entry]:
        """Return what there is, the oldest first; nothing where there is no folder.

        Raises:
            IncidentError: the folder may not be read.
        """
        found: list[Entry] = []
        try:
            paths = list(self.path.iterdir()) if self.path.exists() else []
        except OSError as error:
            raise IncidentError(f"{self.path}: cannot be read: {error.strerror}") from None
        for path in paths:
            match = _NAME.fullmatch(path.name)
            with contextlib.suppress(OSError):  # gone meanwhile
                if match is not None and path.is_file():
                    found.append(Entry(match["id"], path, path.stat().st_size))
        return sorted(found, key=lambda entry: (entry.id[:16], len(entry.id), entry.id))

    def make_room(self, keep: Path) -> int:
        """Remove the oldest until what is left is within the limits; return the bytes left.

        Args:
            keep: the newest, which stays whatever its size.
        """
        entries = [entry for entry in self.entries() if entry.path != keep]
        own = 0
        with contextlib.suppress(OSError):
            own = keep.stat().st_size
        total = own + sum(entry.size for entry in entries)
        while entries and (len(entries) + 1 > self._max_count or total > self.max_size):
            oldest = entries.pop(0)
            oldest.path.unlink(missing_ok=True)
            total -= oldest.size
        return total

    def find(self, name: str) -> Path:
        """Return the file of an incident by its name; the beginning of one is enough.

        Raises:
            IncidentError: there is none, or several begin so.
        """
        entries = self.entries()
        found = [entry for entry in entries if entry.id == name]
        found = found or [entry for entry in entries if entry.id.startswith(name)]
        if len(found) == 1:
            return found[0].path
        if not found:
            raise IncidentError(f"{self.path}: holds no incident {name}")
        names = ", ".join(entry.id for entry in found)
        raise IncidentError(f"{name}: could be {names}")
