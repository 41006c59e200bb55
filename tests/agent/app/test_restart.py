"""What a reload does not use is named."""

from dataclasses import replace
from pathlib import Path

from agent.app.restart import waits_for_restart
from agent.config import Listen, Settings
from agent.config.settings import Exporters, Http


def test_what_can_be_used_at_once_is_not_named():
    """Other alerts, targets or sources wait for nothing."""
    read = Settings(alerts=replace(Settings().alerts, shipped=False))
    assert waits_for_restart(Settings(), Settings()) == []
    assert waits_for_restart(Settings(), read) == []


def test_history_incidents_and_labels_are_named_by_their_keys():
    """Each key that is another is named once, in the order of the sections."""
    base = Settings()
    read = replace(
        base,
        history=replace(base.history, path=Path("/other/history.db"), full_age=60.0),
        incidents=replace(base.incidents, max_count=7),
        labels=replace(base.labels, job="j", instance="i"),
    )
    assert waits_for_restart(base, read) == [
        "labels.job",
        "labels.instance",
        "history.path",
        "history.full_age",
        "incidents.max_count",
    ]


def test_another_port_is_another_instance_unless_that_is_set():
    """The label `instance` follows the port that the agent was started with."""
    moved = Exporters(http_api=Http(listen=(Listen("", 9800),)))
    assert waits_for_restart(Settings(), replace(Settings(), exporters=moved)) == [
        "labels.instance (it follows the port)"
    ]
    base = replace(Settings(), labels=replace(Settings().labels, instance="i"))
    assert waits_for_restart(base, replace(base, exporters=moved)) == []
