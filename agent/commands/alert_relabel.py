"""Print the severities of the configuration as Prometheus takes them: alert_relabel_configs."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, Final

import yaml

from agent.app.judging import rules_of
from agent.commands.common import add_config_argument, config_path, settings_from
from agent.config.settings import AlertSeverity

_HEAD: Final = """\
# What alerts.severity of the agent does, for a Prometheus that evaluates the same rules: put it
# into prometheus.yml. Prometheus relabels what it sends, and not its series ALERTS. It knows the
# model of an alert only by the label model_name; what pages for an engine that is down is to be
# named by its instance.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    settings = settings_from(config_path(arguments))
    rules_of(settings)  # a name of no alert is told here as everywhere
    content = {"alerting": {"alert_relabel_configs": relabelings(settings.alerts.severity)}}
    print(_HEAD + yaml.safe_dump(content, sort_keys=False, width=100), end="")
    return 0


def relabelings(told: Sequence[AlertSeverity]) -> list[dict[str, Any]]:
    """Return severities as relabelings, in their order: of several that match the last counts."""
    return [_relabeling(one) for one in told]


def _relabeling(told: AlertSeverity) -> dict[str, Any]:
    """Return one severity as a relabeling."""
    wanted = {
        "alertname": told.alert,
        "model_name": told.model_name,
        "instance_name": told.instance,
    }
    labels = {label: value for label, value in wanted.items() if value is not None}
    return {
        "source_labels": [*labels],
        "regex": ";".join(map(re.escape, labels.values())),
        "target_label": "severity",
        "replacement": told.severity,
    }
