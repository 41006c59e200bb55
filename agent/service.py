"""The clock of the machine and the service manager: what the agent takes from its surroundings."""

import asyncio
import contextlib
import os
import socket
import time as _time
from collections.abc import Callable


class SystemClock:
    """The clocks of this machine."""

    def time(self) -> float:
        """Return Unix seconds."""
        return _time.time()  # noqa: TID251 - the one place where the clock is read

    def monotonic(self) -> float:
        """Return seconds since some fixed moment."""
        return _time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        await asyncio.sleep(seconds)


class ServiceManager:
    """Tells systemd how the service fares (sd_notify(3)); silent where there is no systemd.

    Args:
        environment: `NOTIFY_SOCKET` is where messages go, `WATCHDOG_USEC` how often the service
            manager wants to hear that the agent is alive.
    """

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        environment = dict(os.environ) if environment is None else environment
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self._patience = int(environment.get("WATCHDOG_USEC") or 0) / 1e6
        self._watchdog = self._patience
        self._ready = False
        self._fed_at = float("-inf")

    def expect(self, interval: float) -> None:
        """Have the watchdog wait for ticks that are rare: for four of them, if that is longer.

        Args:
            interval: seconds between ticks.
        """
        if self._patience:
            self._watchdog = max(self._patience, 4 * interval)
            self._send(f"WATCHDOG_USEC={int(self._watchdog * 1e6)}")

    def tick(self, monotonic: float, status: Callable[[], str]) -> None:
        """Tell that a tick is complete: ready at the first, alive at the others.

        Args:
            monotonic: seconds on a clock that never goes back.
            status: gives one line for `systemctl status`.
        """
        if not self._address:
            return
        if not self._ready:
            self._ready = self._send(f"READY=1\nSTATUS={status()}")
            self._fed_at = monotonic
        elif monotonic - self._fed_at >= min(self._watchdog / 4 or 30.0, 30.0):
            self._fed_at = monotonic
            self._send(f"WATCHDOG=1\nSTATUS={status()}")

    def reloading(self, monotonic: float) -> None:
        """Tell that the configuration is being read again, to whom the agent is ready already."""
        if self._ready:
            self._send(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic * 1e6)}")

    def reloaded(self) -> None:
        """Tell that reading the configuration is over; likewise."""
        if self._ready:
            self._send("READY=1")

    def stopping(self) -> None:
        """Tell that the agent ends on purpose."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> bool:
        """Send a datagram; a service manager that does not listen is no reason to fail.

        Returns:
            Whether it was taken.
        """
        if not self._address:
            return False
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.setblocking(False)
            sock.sendto(message.encode(), self._address)
            return True
        return False
