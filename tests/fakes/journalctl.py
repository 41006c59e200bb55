"""A journal that may be read, and a `journalctl` that follows a file."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

SCRIPT = """#!{python}
import json, os, sys, time
folder = os.path.dirname(os.path.abspath(__file__))
with open(folder + "/arguments", "w") as file:
    json.dump(sys.argv[1:], file)
if os.path.exists(folder + "/stubborn"):
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
log = open(folder + "/log", "rb")
log.seek(0, os.SEEK_END)
open(folder + "/ready", "w").close()
while not os.path.exists(folder + "/die"):
    sys.stdout.buffer.write(log.read())
    sys.stdout.buffer.flush()
    time.sleep(0.01)
sys.stderr.write("Failed to iterate through journal: Input/output error\\n")
sys.exit(1)
"""


class FakeJournal:
    """Puts the script on the PATH and writes what it is to print.

    Attributes:
        bin: folder of the script; `arguments` and `ready` appear there.
        log: file that it follows.
        folder: where the journal's files are.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        script = self.bin / "journalctl"
        script.write_text(SCRIPT.replace("{python}", f"{sys.executable} -IS"))
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(self.bin), prepend=os.pathsep)
        self.log = self.bin / "log"
        self.log.touch()
        self.folder = folder / "journal"
        (self.folder / "0123").mkdir(parents=True)
        (self.folder / "0123/system.journal").touch()

    def entry(
        self, message: object, *, seconds: float = 1.5, end: str = "\n", **fields: str
    ) -> None:
        """Write one entry as `journalctl -o json` does."""
        entry = {
            "__CURSOR": "s=1;i=2",
            "__REALTIME_TIMESTAMP": str(round(seconds * 1e6)),
            "_BOOT_ID": "5b",
            **fields,
            "MESSAGE": message,
        }
        with self.log.open("a") as file:
            file.write(json.dumps(entry) + end)

    async def followed(self) -> None:
        """Wait until somebody follows it, for five seconds at most."""
        for _wait in range(500):
            if (self.bin / "ready").exists():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("nobody follows the journal")
