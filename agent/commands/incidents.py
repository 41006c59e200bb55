"""List the incidents that were recorded, or print the post mortem of one."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from agent.app.incidents import folder_of
from agent.commands.common import add_config_argument, config_path, settings_from
from agent.incidents.folder import Folder, IncidentError
from agent.incidents.post_mortem import post_mortem
from agent.incidents.summary import summary
from agent.incidents.words import report, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_argument(parser)
    path = parser.add_argument(
        "--path", type=Path, metavar="FOLDER", help="where they are; default: by the configuration"
    )
    json_help = "print JSON"
    parser.add_argument("--json", action="store_true", help=json_help)
    parser.set_defaults(what=_list)
    actions = parser.add_subparsers(metavar="[ACTION]")
    child = actions.add_parser(
        "show", help="print the post mortem of one", description="Print the post mortem of one."
    )
    # Suppressed: an action's own default would undo what stands before the action.
    child.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS)
    child.add_argument(
        "--path", type=Path, metavar="FOLDER", default=argparse.SUPPRESS, help=path.help
    )
    child.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=json_help)
    child.add_argument(
        "id", metavar="ID", help="as the list has it, the beginning of one, or a file"
    )
    child.set_defaults(what=_show)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked."""
    folder = folder_of(settings_from(config_path(arguments)), path=arguments.path)
    if arguments.path is not None:
        folder.check()  # that of the configuration is made with the first incident
    what: Callable[[argparse.Namespace, Folder], None] = arguments.what
    what(arguments, folder)
    return 0


def _list(arguments: argparse.Namespace, folder: Folder) -> None:
    """Print what there is."""
    found = [summary(entry) for entry in folder.entries()]
    if arguments.json:
        print(json.dumps([one.as_json() for one in reversed(found)], indent=2))
    elif found:
        print("\n".join(table(found)))
    else:
        print(f"no incidents in {folder.path}")


def _show(arguments: argparse.Namespace, folder: Folder) -> None:
    """Print one."""
    file = Path(arguments.id)
    is_file = file.name != arguments.id or "." in file.name
    if is_file and not file.exists():
        raise IncidentError(f"{file}: there is no such file")
    found = post_mortem(file if is_file or file.is_file() else folder.find(arguments.id))
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(report(found)))
