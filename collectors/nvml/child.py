"""The process that calls the driver: `python -I -m collectors.nvml.child OPTIONS`.

Its standard input is a socket to the agent (`wire`). It ends when the agent closes the socket
or dies, and after an error that only a fresh process can get over. OPTIONS is JSON:
`tolerant` (see `device.Device`).
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time

from agent.framing import frame
from collectors.nvml import driver, wire
from collectors.nvml.fleet import Fleet
from collectors.nvml.waiting import Waiting

_PR_SET_PDEATHSIG = 1
_SOCKET = 0


class _Agent:
    """The other end of the socket at standard input; frames of two threads do not mix.

    Plain reads and writes: the module `socket` would cost this process half a megabyte.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def request(self) -> int:
        """Return the tiers asked for next; ends the process when the agent is gone."""
        try:
            asked = os.read(_SOCKET, 64)
        except OSError:
            asked = b""
        if not asked:
            # Not sys.exit: a thread may sit in the driver, and nothing here needs tidying.
            os._exit(0)
        tiers = 0
        for one in asked:
            tiers |= one
        return tiers

    def send(self, *frames: bytes) -> None:
        """Send frames together."""
        try:
            with self._lock:
                left = b"".join(frames)
                while left:
                    left = left[os.write(_SOCKET, left) :]
        except OSError:
            os._exit(0)

    def notice(self, event: dict[str, str]) -> None:
        """Send an event at once, so that a call that hangs next does not swallow it."""
        self.send(frame(wire.EVENT, json.dumps(event).encode()))

    def failure(self, stage: str, code: int, message: str) -> None:
        """Send why this process ends."""
        body = {"stage": stage, "code": code, "message": message}
        self.send(frame(wire.FAILURE, json.dumps(body).encode()))


def main() -> int:
    """Answer requests until the agent goes; return the exit status."""
    # Ctrl-C and a stop of the service reach this process too; when to end is the agent's business.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # A hung call does not see the agent's end of the socket close; the kernel then ends us.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    options = json.loads(sys.argv[1])
    agent = _Agent()
    stage = "init"
    try:
        driver.init()
        stage = "read"
        fleet = Fleet(agent.notice, now=time.monotonic, tolerant=options["tolerant"])
        _answer(agent, fleet)
    except driver.NvmlError as error:
        agent.failure(stage, driver.code_of(error), str(error))
    return 0


def _answer(agent: _Agent, fleet: Fleet) -> None:
    """Answer every request.

    Raises:
        NvmlError: only a fresh process can go on.
    """
    # This process has no other source of time than the system's.
    waiting = Waiting(fleet, agent.notice, realtime=time.time)  # noqa: TID251
    while True:
        changed = fleet.sample(agent.request())
        sample = frame(wire.SAMPLE, fleet.values())
        if changed:
            agent.send(frame(wire.LAYOUT, fleet.layout()), sample)
        else:
            agent.send(sample)
        if not waiting.is_alive():
            waiting.start()


if __name__ == "__main__":
    sys.exit(main())
