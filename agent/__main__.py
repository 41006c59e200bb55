"""The command line: `inferwatch COMMAND …`."""

import argparse
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from agent.app.version import version
from agent.commands import NAMES, load
from agent.model import InferwatchError


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
    _write_anything()
    arguments = sys.argv[1:] if arguments is None else arguments
    given = parser(*arguments[:1]).parse_args(arguments)
    try:
        return int(given.run(given))
    except InferwatchError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except PermissionError as error:
        print(f"{error.filename}: {error.strerror}" if error.filename else error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # such as `inferwatch metrics | head`
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130


def _write_anything() -> None:
    """Escape what the locale has no characters for: names come from outside, in any language."""
    out = sys.stdout
    if isinstance(out, TextIOWrapper) and out.errors == "strict":
        out.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
