"""The example workflows for Keep name only what is sent, or what they add themselves."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.model import Alert
from exporters.keep import as_event

FOLDER = Path(__file__).parents[2] / "deploy" / "keep"
WORKFLOWS = sorted(FOLDER.glob("*.yaml"))
# As little as the agent ever says: Keep fails an action that reads what is not there.
LEAST = Alert(
    labels={"alertname": "A", "severity": "critical"},
    annotations={},
    starts_at=0.0,
    ends_at=1.0,
    resolved=False,
    generator_url="http://a",
)


def workflow(path: Path) -> dict[str, Any]:
    """Return the workflow in a file."""
    content = yaml.safe_load(path.read_text("utf-8"))
    assert list(content) == ["workflow"]
    found: dict[str, Any] = content["workflow"]
    return found


def added() -> set[str]:
    """Return the names that the workflows add to alerts."""
    actions = [action for path in WORKFLOWS for action in workflow(path)["actions"]]
    return {
        one["key"]
        for action in actions
        for one in action["provider"]["with"].get("enrich_alert", ())
    }


def test_there_are_workflows():
    """One opens tickets and one closes them."""
    assert [path.name for path in WORKFLOWS] == ["close-ticket.yaml", "open-ticket.yaml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_is_read_of_an_alert_is_there(path: Path):
    """Each field in a template is one that is sent, or one that a workflow adds."""
    event = as_event(LEAST, 0.0)
    read = re.findall(r"\{\{ *alert\.([\w.]+) *\}\}", path.read_text("utf-8"))
    assert read
    assert {*read} <= {*event} | added()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_starts_it_is_sent(path: Path):
    """The condition of a workflow compares fields that are sent with values that they can have."""
    (trigger,) = workflow(path)["triggers"]
    event = as_event(LEAST, 0.0)
    assert trigger["type"] == "alert"
    compared = dict(re.findall(r'(\w+) == "(\w+)"', trigger["cel"]))
    assert compared["status"] in ("firing", "resolved")
    assert compared.get("severity", "critical") == event["severity"]
    assert re.findall(r'source\.contains\("(\w+)"\)', trigger["cel"]) == event["source"]
