"""What stands out in a fleet: alerts that fired, and replicas that are unlike their peers."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from agent.report.fleet import names
from agent.report.fleet.asking import Asking
from agent.report.fleet.scope import LATEST
from agent.report.grid import Grid
from agent.report.report import Window

MOST: Final = 10
"""Outliers of each kind that are told."""

_HOUR: Final = 3600.0
_MINUTES: Final = 5.0  # evaluations in a window


def alerts(asking: Asking, grid: Grid) -> list[dict[str, Any]]:
    """Return the alerts that fired, those on most hosts for longest first.

    Args:
        asking: asks.
        grid: windows of five minutes.
    """
    part = asking.part
    labels = (part.cluster_label, "alertname")
    inner = f"sum by ({', '.join(labels)}) ({part.selector(names.ALERTS, by_model=False)})"
    found = []
    for (cluster, alert), column in asking.plain(
        names.ALERTS, f"sum_over_time({inner}[{LATEST}:1m])", grid, labels
    ).items():
        hosts = np.nan_to_num(column) / _MINUTES
        firing = np.flatnonzero(hosts > 0)
        if not firing.size:
            continue
        found.append(
            {
                "cluster": cluster,
                "alertname": alert,
                "firing_peak": float(hosts.max()),
                "firing_hours": float(hosts.sum()) * grid.step / _HOUR,
                "share_of_time": firing.size / grid.count,
                "first_timestamp_seconds": float(grid.starts[firing[0]]),
                "last_timestamp_seconds": float(grid.starts[firing[-1]] + grid.step),
            }
        )
    return sorted(found, key=lambda one: (-one["firing_hours"], one["alertname"], one["cluster"]))


def outliers(asking: Asking, window: Window) -> list[dict[str, Any]]:
    """Return the replicas that were unlike their peers for longest, of each kind.

    The time of the window is what the rules were evaluated in.
    """
    part = asking.part
    length = f"[{round(window.end - window.start)}s]"
    there = part.selector(names.OUTLIER)
    whole = asking.vector(
        "", f"max (count_over_time({part.selector(names.REPLICAS)}{length}))", window.end
    )
    longest = f"topk by (kind) ({MOST}, count_over_time({there}{length}))"
    counts = asking.vector("", longest, window.end)
    if not whole or not counts:
        return []
    means = {
        _told(labels): value
        for labels, value in asking.vector(
            "", f"avg_over_time({there}{length}) and {longest}", window.end
        )
    }
    found = [
        {
            "kind": labels.get("kind", ""),
            "cluster": labels.get(part.cluster_label, ""),
            "instance": labels.get("instance", ""),
            "instance_name": labels.get("instance_name", ""),
            "model_name": labels.get("model_name", ""),
            "gpu_type": labels.get("gpu_type", ""),
            "ratio": means.get(_told(labels)),
            "share_of_time": min(1.0, count / whole[0][1]),
        }
        for labels, count in counts
    ]
    return sorted(found, key=lambda one: (one["kind"], -one["share_of_time"], one["instance"]))


def _told(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return labels to look up; VictoriaMetrics leaves its name to a mean, and not to a count."""
    return tuple(sorted(pair for pair in labels.items() if pair[0] != "__name__"))
