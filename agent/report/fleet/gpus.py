"""The GPUs of a fleet: those that replicas have, and all that are installed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agent.report.fleet import names
from agent.report.fleet.asking import Asking
from agent.report.fleet.read import Sums
from agent.report.grid import Column, together


def gpus_of(several: Sequence[Sums]) -> dict[str, float | None]:
    """Return the GPUs of some replicas; means over the time that is known, None of nothing.

    A GPU that several engines share counts in equal parts.
    """
    sums = {
        key: together([one.gpus[key] for one in several])
        for key in ("count", "busy", "memory_used_bytes", "memory_total_bytes", "power_watts")
    }
    count = sums["count"]
    seen = count[~np.isnan(count)]
    return {
        "count": float(seen[-1]) if seen.size else None,
        "busy_share": _share(sums["busy"], count),
        "memory_used_share": _share(sums["memory_used_bytes"], sums["memory_total_bytes"]),
        "power_watts": _mean(sums["power_watts"]),
    }


def _share(above: Column, below: Column) -> float | None:
    """Return the share of one sum in another over the windows in which both are known."""
    both = ~np.isnan(above) & ~np.isnan(below)
    whole = float(below[both].sum())
    return float(above[both].sum()) / whole if whole > 0 else None


def _mean(column: Column) -> float | None:
    """Return the mean of what is known."""
    return None if np.isnan(column).all() else float(np.nanmean(column))


def installed(asking: Asking, time: float) -> list[dict[str, Any]]:
    """Return how many GPUs of each type each cluster has, used or not, the most first.

    Args:
        asking: asks.
        time: Unix seconds.
    """
    part = asking.part
    by = f"{part.cluster_label}, gpu_type"
    text = f"sum by ({by}) ({part.selector(names.GPUS_INSTALLED, by_model=False)})"
    found = [
        {
            "cluster": labels.get(part.cluster_label, ""),
            "gpu_type": labels.get("gpu_type", ""),
            "count": round(value),
        }
        for labels, value in asking.vector(names.GPUS_INSTALLED, text, time)
    ]
    return sorted(found, key=lambda one: (-one["count"], one["cluster"], one["gpu_type"]))
