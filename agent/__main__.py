"""The command line: `inferwatch COMMAND …`."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Final

from agent.app.version import version
from agent.commands import NAMES, RELOADING, load
from agent.model import InferwatchError

_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def parser(asked: str = "") -> argparse.ArgumentParser:
    """Return the parser of the command line, one subcommand for each file in `commands`.

    Args:
        asked: the first argument; where it is a subcommand, the parser knows and imports no other.
    """
    root = argparse.ArgumentParser(
        prog="inferwatch", description="Monitoring agent for GPU inference hosts."
    )
    root.add_argument("--version", action="version", version=f"inferwatch {version()}")
    subparsers = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    titles = {name.replace("_", "-"): name for name in NAMES}
    for title in (asked,) if asked in titles else titles:
        command = load(titles[title])
        about = (command.__doc__ or "").partition("\n")[0]
        child = subparsers.add_parser(title, help=about, description=command.__doc__)
        command.add_arguments(child)
        child.set_defaults(run=command.run)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0 well, 1 failed, 2 wrong input."""
    if arguments is None:
        arguments = sys.argv[1:]
        if RELOADING.intersection(arguments[:1]):
            # It would end the process until there is a handler, and to import that takes a second.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    _open_streams()
    _write_anything()
    given = parser(*arguments[:1]).parse_args(arguments)
    try:
        status = int(given.run(given))
        _flush()
        return status  # noqa: TRY300 - what cannot be written is said below
    except InferwatchError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:  # such as `inferwatch metrics | head`
        _drop_output()
        return 1
    except OSError as error:
        where = error.filename
        if where is None and error.errno in _NO_ROOM:
            where = "the output"
            _drop_output()
        if where is None and not isinstance(error, PermissionError):
            raise
        print(f"{where}: {error.strerror}" if where else error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _open_streams() -> None:
    """Put nowhere in the place of standard streams that are closed.

    Without a stream there is no log; and what is opened next would have the number of one, so that
    whoever writes to that writes into a history or to a receiver.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _flush() -> None:
    """Write what is still in memory, while what goes wrong can still be said."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.flush()


def _drop_output() -> None:
    """Have the interpreter write nowhere what is left: at its end nobody could be told of it."""
    try:
        output = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # closed from the beginning, or none of a file
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, output)
    os.close(nowhere)


def _write_anything() -> None:
    """Escape what the locale has no characters for: names come from outside, in any language."""
    out = sys.stdout
    # In the locale C, that of cron, it is the latter, which takes bytes of others and no more.
    if isinstance(out, TextIOWrapper) and out.errors in ("strict", "surrogateescape"):
        out.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
