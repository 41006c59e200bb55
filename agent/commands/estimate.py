"""Say what the agent would have said of capacity, minute by minute of a recording."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agent.app.estimate import Moment, limits_from, moments
from agent.commands.common import settings_from
from agent.config import Settings
from agent.model import RecordingFailedError

SCHEMA: Final = "inferwatch.estimate/1"
"""Name and version of the JSON; docs/capacity.md describes it."""

_REPLICA: Final = ("engine", "instance_name", "model_name", "rank")
_HEADS: Final = ("at", "demand", "capacity", "stability limit", "headroom", "binding", "verdict")
_THOUSANDS: Final = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "recording",
        type=Path,
        metavar="RECORDING",
        help="a recording of inferwatch, or captured pages of an engine (*.metrics.jsonl.gz)",
    )
    parser.add_argument(
        "--limits",
        type=Path,
        metavar="FILE",
        help="what the recording does not show: max_num_seqs, max_num_batched_tokens, targets; "
        "YAML, JSON or the engine's command line",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a configuration with targets and prices"
    )
    parser.add_argument(
        "--every", type=_seconds, default=60.0, metavar="SECONDS", help="60 by default"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _seconds(text: str) -> float:
    """Return a number of seconds, or have argparse say what was expected."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1.0 <= seconds <= 86_400.0:  # noqa: PLR2004 - a second and a day
        raise argparse.ArgumentTypeError("expected a number of seconds from 1 to 86400")
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """Play the recording and print what was known."""
    settings = settings_from(arguments.config)
    if arguments.limits is not None:
        settings = limits_from(arguments.limits).over(settings)
    warnings: list[str] = []

    def warn(sentence: str) -> None:
        warnings.append(sentence)
        print(sentence, file=sys.stderr)

    path: Path = arguments.recording
    known = [*moments(path, settings, every=arguments.every, warn=warn)]
    replicas = _by_replica(known)
    if not replicas:
        raise RecordingFailedError(f"{path}: no engine was ever seen in it")
    if arguments.json:
        document = {
            "schema": SCHEMA,
            "recording": path.name,
            "every_seconds": arguments.every,
            "targets": _targets(settings),
            "warnings": warnings,
            "replicas": replicas,
        }
        print(json.dumps(document, indent=2, allow_nan=False))
    else:
        print("\n".join(_lines(replicas)))
    return 0


def _targets(settings: Settings) -> Mapping[str, Any]:
    """Return the latencies that capacity is reckoned for."""
    targets = settings.targets
    return {
        "time_to_first_token_p95_seconds": targets.time_to_first_token,
        "inter_token_latency_p95_seconds": targets.inter_token_latency,
        "inter_token_criterion": targets.inter_token.value,
        "models": [
            {
                "model_name": one.model_name,
                "time_to_first_token_p95_seconds": one.time_to_first_token
                or targets.time_to_first_token,
                "inter_token_latency_p95_seconds": one.inter_token_latency
                or targets.inter_token_latency,
            }
            for one in targets.models
        ],
    }


def _by_replica(known: Sequence[Moment]) -> list[dict[str, Any]]:
    """Return the estimates of each replica, in the order in which they were seen."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for moment in known:
        for said in moment.said["replicas"]:
            replica = tuple(said[name] for name in _REPLICA)
            rest = {name: value for name, value in said.items() if name not in _REPLICA}
            rest["estimated_at"] = rest.pop("time")
            found.setdefault(replica, []).append(
                {"time": moment.time, "offset_seconds": moment.offset, **rest}
            )
    return [
        {**dict(zip(_REPLICA, replica, strict=True)), "estimates": estimates}
        for replica, estimates in found.items()
    ]


def _lines(replicas: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a table for each replica; all loads are tokens a minute."""
    for number, replica in enumerate(replicas):
        if number:
            yield ""
        estimates = replica["estimates"]
        shown = (f"{name.removesuffix('_name')} {replica[name]}" for name in _REPLICA[2:])
        begin = datetime.fromtimestamp(estimates[0]["time"], UTC)
        yield (
            f"{replica['instance_name']} ({replica['engine']}, {', '.join(shown)}), from "
            f"{begin:%Y-%m-%d %H:%M:%SZ}; tokens a minute, lowest and highest with 90 %"
        )
        yield _limits(estimates[-1]["limits"])
        rows = [_HEADS, *(_row(one) for one in estimates)]
        widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADS))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield "  ".join(cells).rstrip()
        yield from _reasons(estimates)


def _limits(limits: Mapping[str, Any]) -> str:
    """Return the limits that were reckoned with at last."""
    told = (
        f"{name} {one['value']:g} ({one['source']})"
        if one["value"] is not None
        else f"{name} unknown"
        for name, one in limits.items()
    )
    return "limits: " + ", ".join(told)


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row of the table."""
    headroom, ratio = one["headroom_tokens_per_minute"], one["headroom_ratio"]
    left = "?" if headroom is None else _amount(headroom)
    if ratio is not None:
        left += f" ({ratio:.0%})"
    return (
        _clock(one["offset_seconds"]),
        _known(one["demand_tokens_per_minute"]["total"]),
        _capacity(one),
        _interval(one["stability_limit_tokens_per_minute"]),
        left,
        one["binding_limit"] or "?",
        one["verdict"]["cause"],
    )


def _capacity(one: Mapping[str, Any]) -> str:
    """Return the capacity under the targets."""
    if one["identifiable"] or one["declared_tokens_per_minute"] is None:
        return _interval(one["capacity_tokens_per_minute"])
    return f"{_amount(one['declared_tokens_per_minute'])} declared"


def _reasons(estimates: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield why there was no capacity to tell, each reason where it began."""
    before: str | None = None
    for one in estimates:
        why = one["not_identifiable_because"]
        if why and why != before:
            yield f"not identifiable at {_clock(one['offset_seconds'])}: {why}"
        before = why


def _interval(interval: Mapping[str, float] | None) -> str:
    """Return an interval for people."""
    if interval is None:
        return "?"
    low, high = _amount(interval["low"]), _amount(interval["high"])
    return f"{_amount(interval['estimate'])} ({low} to {high})"


def _known(value: float | None) -> str:
    """Return an amount, or that it is not known."""
    return "?" if value is None else _amount(value)


def _amount(value: float) -> str:
    """Return tokens a minute with three digits or so."""
    return f"{value / 1000:.1f}k" if abs(value) >= _THOUSANDS else f"{value:.0f}"


def _clock(seconds: float) -> str:
    """Return a time since the beginning."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
