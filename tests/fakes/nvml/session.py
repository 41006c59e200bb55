"""Asking the stub through the real nvidia-ml-py, in a process that loads it as any program does."""

import json
import subprocess
import sys
from typing import Any

from tests.fakes.nvml.controller import StubDriver

_PROLOGUE = """
import ctypes, json, sys, time
import pynvml as n
answers = []
def code(call):
    try:
        return call()
    except n.NVMLError as error:
        return {"error": error.value}
def text(value):
    return value.decode() if isinstance(value, bytes) else value
def struct(value):
    return {name: getattr(value, name) for name, *_ in value._fields_}
def tell(call):
    answers.append(code(call))
"""


def ask(driver: StubDriver, script: str, *, init: bool = True) -> list[Any]:
    """Run a script on the stub and return what it told: values, or `{"error": code}`.

    The script has `n` (pynvml), `tell(callable)`, `struct(structure)` and `h` (GPU 0).
    """
    return Talk(driver, script, init=init).answers()


class Talk:
    """A script on the stub that the test can pause and resume.

    The script pauses by `print("ready", flush=True)` and `sys.stdin.readline()`.
    """

    def __init__(self, driver: StubDriver, script: str, *, init: bool = True) -> None:
        opening = "n.nvmlInit()\nh = n.nvmlDeviceGetHandleByIndex(0)\n" if init else ""
        code = f"{_PROLOGUE}{opening}{script}\nprint(json.dumps(answers))"
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", code],
            env=driver.env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, word: str) -> None:
        """Wait until the script prints a line, which must be this one."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line == word, line or self.process.communicate(timeout=20)[1]

    def say(self) -> None:
        """Let a script that reads a line go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answers(self, timeout: float = 20.0) -> list[Any]:
        """Wait for the end and return what the script told."""
        out, err = self.process.communicate(timeout=timeout)
        assert self.process.returncode == 0, err
        told: list[Any] = json.loads(out.splitlines()[-1])
        return told
