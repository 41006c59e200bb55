"""The systemd unit of a process, and what systemd's journal says of the unit."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from collectors.cgroup import Cgroup
from collectors.procfs import read_file

# `/user.slice/user-1000.slice/user@1000.service/app.slice/chat.service`
_USER: Final = re.compile(r"/user@\d+\.service/(?:.*/)?(?P<unit>[^/]+\.service)(?:/|$)")
_SYSTEM: Final = re.compile(r"/(?:[^/]+\.slice/)+(?P<unit>[^/]+\.service)(?:/|$)")

_EXITED: Final = re.compile(
    r"Main process exited, code=(?P<code>\w+), status=(?P<number>\d+)/(?P<name>\S+)"
)
_FIELDS: Final = ("MESSAGE", "UNIT", "USER_UNIT", "_SYSTEMD_UNIT", "_SYSTEMD_USER_UNIT")


@dataclass(frozen=True, slots=True, order=True)
class Unit:
    """A service of systemd, of the system or of a user."""

    name: str
    is_user: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the journal about a unit.

    Attributes:
        unit: which.
        time: Unix seconds.
        message: its text.
        by_manager: systemd says it of the unit; else the unit says it itself.
    """

    unit: Unit
    time: float
    message: str
    by_manager: bool


def unit_of_process(proc: str, pid: int) -> Unit | None:
    """Return the service that a process belongs to, None where it is in none or not shown.

    With control groups of version 1, systemd has a hierarchy of its own for its units; others have
    a group for each unit only where something is accounted for or limited.
    """
    text = (read_file(f"{proc}/{pid}/cgroup") or b"").decode("utf-8", "replace")
    found: dict[str, str] = {}
    for line in text.splitlines():
        _number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        found[controllers] = path
    first = ("", "name=systemd")
    paths = [found.pop(name, "") for name in first] + list(found.values())
    return next((unit for unit in map(unit_of, paths) if unit is not None), None)


def unit_of(cgroup: str) -> Unit | None:
    """Return the service that a control group belongs to; None for a session or a container."""
    if Cgroup(cgroup, "").is_container:
        return None
    match = _USER.search(cgroup)
    if match is not None:
        return Unit(match["unit"], is_user=True)
    match = _SYSTEM.search(cgroup)
    if match is None or match["unit"].startswith("user@"):
        return None
    return Unit(match["unit"])


def journal_command(units: Iterable[Unit]) -> list[str]:
    """Return the command that follows what units write and what systemd writes of them."""
    command = [
        "journalctl",
        "--follow",
        "--lines=0",
        "--output=json",
        f"--output-fields={','.join(_FIELDS)}",
        "--no-pager",
        "--quiet",
    ]
    matches: list[str] = []
    for unit in sorted(units):
        own, about = (
            ("_SYSTEMD_USER_UNIT", "USER_UNIT") if unit.is_user else ("_SYSTEMD_UNIT", "UNIT")
        )
        matches += [f"{own}={unit.name}", "+", f"{about}={unit.name}", "+"]
    return [*command, *matches[:-1]]


def entry_of(line: bytes) -> Entry | None:
    """Return an entry of the journal in JSON; None for what makes no sense."""
    try:
        found: dict[str, Any] = json.loads(line)
        message = found["MESSAGE"]
        # Text that is not clean UTF-8 is written as a list of bytes (journal export formats).
        if isinstance(message, list):
            message = bytes(message).decode("utf-8", "replace")
        time = int(found["__REALTIME_TIMESTAMP"]) * 1e-6
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(message, str):
        return None
    for field, is_user, by_manager in (
        ("UNIT", False, True),
        ("USER_UNIT", True, True),
        ("_SYSTEMD_USER_UNIT", True, False),
        ("_SYSTEMD_UNIT", False, False),
    ):
        name = found.get(field)
        if isinstance(name, str):
            return Entry(Unit(name, is_user), time, message, by_manager)
    return None


def labels_of(message: str) -> Mapping[str, str]:
    """Return what systemd's message says of the end of a unit, as labels; empty for nothing.

    `what` is `exited` with `code` (exited, killed, dumped) and `status` (a number or the name of a
    signal), `oom_killed` or `stopping`. `Stopped …` is no sign: systemd writes it before it starts
    again what had ended by itself.
    """
    exited = _EXITED.search(message)
    if exited is not None:
        status = exited["number"] if exited["code"] == "exited" else exited["name"]
        return {"what": "exited", "code": exited["code"], "status": status}
    if "killed by the OOM killer" in message or "Failed with result 'oom-kill'" in message:
        return {"what": "oom_killed"}
    if message.startswith("Stopping "):
        return {"what": "stopping"}
    if message.endswith("Deactivated successfully."):
        return {"what": "exited", "code": "exited", "status": "0"}
    return {}
