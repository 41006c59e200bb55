"""The table that people read and the file that programs read."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ENGINES, Measured
from benchmarks.pages import PageCosts, TickCosts
from benchmarks.prometheus import version

MB = 1e6


@dataclass(frozen=True, slots=True)
class Budget:
    """A figure that must not be exceeded."""

    key: str
    limit: float
    what: str


# What holds for an agent that only watches, and for the whole one with history and rules.
WATCHING = (
    Budget("ratio_to_prometheus_cpu", 0.65, "CPU by Prometheus's"),
    Budget("pss_mb", 90.0, "PSS of all processes, MB"),
)
WHOLE = (
    Budget("ratio_to_prometheus_cpu", 1.0, "CPU by Prometheus's"),
    Budget("pss_mb", 110.0, "PSS of all processes, MB"),
    Budget("rules_cpu_ms_per_s", 1.5, "rules on 8 GPUs and 8 engines, CPU ms per s"),
    Budget("rules_worst_tick_ms", 20.0, "longest evaluation of a tick, ms"),
)
BUDGETS = (
    Budget("parse_ratio_to_official", 1 / 30, "parse by the official parser's"),
    Budget("metrics_p50_ms", 2.0, "/metrics p50, ms"),
    Budget("metrics_p99_ms", 10.0, "/metrics p99, ms"),
    Budget("history_cpu_ms_per_s", 1.0, "history of 2,000 series, CPU ms per s"),
    Budget("history_bytes_ratio_to_prometheus", 1.7, "bytes a sample by Prometheus's"),
    Budget("history_read_24h_ms", 50.0, "24 h of 10 series, CPU ms"),
)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def samples(page: bytes) -> int:
    """Return the number of sample lines of a page."""
    return sum(1 for line in page.splitlines() if line and not line.startswith(b"#"))


def figures(
    measured: Measured, page: PageCosts, tick: TickCosts, classic: float
) -> dict[str, float]:
    """Return every figure by its key in the file."""
    scraped, quiet = measured.scraped, measured.quiet
    return {
        "ratio_to_prometheus_cpu": statistics.median(scraped.ratios),
        "ratio_to_prometheus_cpu_lowest": min(scraped.ratios),
        "ratio_to_prometheus_cpu_highest": max(scraped.ratios),
        "ratio_to_prometheus_cpu_unscraped": statistics.median(quiet.ratios),
        "tick_cpu_ms": scraped.tick_ms,
        "tick_cpu_ms_unscraped": quiet.tick_ms,
        "tick_cpu_ms_without_engines": scraped.floor_ms,
        "tick_cpu_ms_without_engines_unscraped": quiet.floor_ms,
        "per_engine_cpu_ms": (scraped.tick_ms - scraped.floor_ms) / ENGINES,
        "per_engine_cpu_ms_unscraped": (quiet.tick_ms - quiet.floor_ms) / ENGINES,
        "prometheus_cpu_ms": statistics.median((scraped.peer_ms, quiet.peer_ms)),
        "naive_tick_cpu_ms": tick.naive,
        "floor_tick_cpu_ms": tick.floor,
        "pss_mb": measured.memory.pss / MB,
        "alone_mb": measured.memory.alone / MB,
        "prometheus_pss_mb": measured.peer_memory.pss / MB,
        "processes": measured.memory.processes,
        "parse_ratio_to_official": page.ratio,
        "parse_cpu_ms": page.scan,
        "parse_and_map_cpu_ms": page.mapped,
        "parse_official_cpu_ms": page.official,
        "parse_floor_cpu_ms": page.split,
        "engine_page_lines": page.lines,
        "engine_page_bytes": page.size,
        "engine_page_wanted": page.wanted,
        "metrics_p50_ms": percentile(measured.latency, 0.5) * 1e3,
        "metrics_p99_ms": percentile(measured.latency, 0.99) * 1e3,
        "metrics_after_tick_p50_ms": percentile(measured.fresh_latency, 0.5) * 1e3,
        "metrics_requests": len(measured.latency),
        "page_series": samples(measured.page),
        "page_bytes": len(measured.page),
        "classic_exposition_cpu_ms": classic,
        "other_engines": measured.others,
    }


def write(found: dict[str, float], path: Path) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({key: round(value, 4) for key, value in found.items()}, indent=2))


def table(found: dict[str, float], *, watch_only: bool) -> str:
    """Return the table, with the budgets of an agent that only watches or of the whole one."""
    rows: list[tuple[str, str, str, str]] = [
        ("CPU of a tick, 8 GPUs and 8 engines at 1 Hz", "ms", "", ""),
        _row(found, "  agent, its page scraped each second", "tick_cpu_ms"),
        _row(found, "  agent, not scraped", "tick_cpu_ms_unscraped"),
        _row(found, "  agent without engines, scraped", "tick_cpu_ms_without_engines"),
        _row(found, "  one engine more", "per_engine_cpu_ms"),
        _row(found, f"  Prometheus {version()}, the engines alone", "prometheus_cpu_ms"),
        _row(found, "  official parser and registry, the engines alone", "naive_tick_cpu_ms"),
        _row(found, "  floor: blocking sockets, split, float", "floor_tick_cpu_ms"),
        ("CPU of one engine's page", "ms", "", ""),
        _row(found, "  scanner", "parse_cpu_ms"),
        _row(found, "  scanner and mapping", "parse_and_map_cpu_ms"),
        _row(found, "  official parser", "parse_official_cpu_ms"),
        _row(found, "  floor: split, float", "parse_floor_cpu_ms"),
        ("Memory", "MB", "", ""),
        _row(found, "  agent, PSS of its processes", "pss_mb"),
        _row(found, "  agent, if no other Python ran here", "alone_mb"),
        _row(found, "  Prometheus, PSS", "prometheus_pss_mb"),
        (f"/metrics of {found['page_series']:.0f} series", "ms", "", ""),
        _row(found, "  p50", "metrics_p50_ms"),
        _row(found, "  p99", "metrics_p99_ms"),
        _row(found, "  p50 of the first after a tick", "metrics_after_tick_p50_ms"),
        _row(found, "  classic registry, CPU to write as many", "classic_exposition_cpu_ms"),
        ("Budgets", "", "at most", ""),
    ]
    for budget in (*(WATCHING if watch_only else WHOLE), *BUDGETS):
        if budget.key not in found:
            continue
        value = found[budget.key]
        verdict = "pass" if value <= budget.limit else "MISS"
        rows.append((f"  {budget.what}", f"{value:.4g}", f"{budget.limit:.4g}", verdict))
    rows += (
        _row(found, "  CPU by Prometheus's, lowest window", "ratio_to_prometheus_cpu_lowest"),
        _row(found, "  CPU by Prometheus's, highest window", "ratio_to_prometheus_cpu_highest"),
        _row(found, "  CPU by Prometheus's, not scraped", "ratio_to_prometheus_cpu_unscraped"),
    )
    return "\n".join(f"{a:<52}{b:>10}{c:>10}  {d}".rstrip() for a, b, c, d in rows)


def _row(found: dict[str, float], what: str, key: str) -> tuple[str, str, str, str]:
    """Return a row of one figure."""
    return what, f"{found[key]:.3f}", "", ""


def profile_table(path: Path, top: int) -> str:
    """Return where the samples of a profile fell."""
    counted = json.loads(path.read_text())
    total = sum(counted["own"].values())
    lines = [f"{total} samples"]
    for kind, title in (("functions", "function, what it calls included"), ("own", "line")):
        lines.append(title)
        ordered = sorted(counted[kind].items(), key=lambda item: -item[1])
        lines += [f"  {count / total:6.1%}  {place}" for place, count in ordered[:top]]
    return "\n".join(lines)
