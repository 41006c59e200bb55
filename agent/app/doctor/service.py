"""Looks with the eyes of the service: its user, and the groups that its unit adds."""

import grp
import os
import pwd
import subprocess
from typing import Final

from agent.model import InferwatchError

UNIT: Final = "inferwatch.service"
_SHOWN: Final = ("User", "Group", "SupplementaryGroups")
_PATIENCE: Final = 10.0


class ServiceError(InferwatchError):
    """This process cannot take the place of the service."""


def become_service() -> str:
    """Give up being root for the user and the groups of the installed service; return the user.

    Capabilities that a drop-in gives and the sandbox of the unit are not taken over.

    Raises:
        ServiceError: it is not root who asks, or there is no such service.
    """
    if os.geteuid() != 0:
        raise ServiceError("--as-service needs root: sudo inferwatch doctor --as-service")
    shown = _shown()
    if not shown.get("User"):
        raise ServiceError(f"--as-service: systemd knows no {UNIT} with a user of its own")
    try:
        user = pwd.getpwnam(shown["User"])
        group = grp.getgrnam(shown["Group"]).gr_gid if shown.get("Group") else user.pw_gid
        added = [grp.getgrnam(one).gr_gid for one in shown.get("SupplementaryGroups", "").split()]
    except KeyError as error:
        raise ServiceError(f"--as-service: {error.args[0]}") from error
    os.setgroups(sorted({*os.getgrouplist(user.pw_name, group), *added}))
    os.setgid(group)
    os.setuid(user.pw_uid)
    return user.pw_name


def _shown() -> dict[str, str]:
    """Return what systemd says of the service, drop-ins included."""
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            ["systemctl", "show", f"--property={','.join(_SHOWN)}", UNIT],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"it ended with {error.returncode}"
        raise ServiceError(f"--as-service: systemctl cannot be asked: {said}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise ServiceError(f"--as-service: systemctl cannot be asked: {error}") from error
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
