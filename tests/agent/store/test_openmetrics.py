"""What is exported is OpenMetrics, and Prometheus takes it."""

import math
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from agent.__main__ import main
from agent.model import Metric, MetricType, SeriesTable
from agent.store.history import History
from agent.store.openmetrics import export
from agent.store.reader import HistoryReader
from agent.store.series import STALE
from agent.store.target import Target
from tests.e2e.prometheus import prometheus
from tests.fakes.clock import ManualClock
from tests.fakes.history import FULL, frame, named, series
from tests.servers import NEEDS_PROMETHEUS, PROMTOOL

START = 1_800_000_000.0
COUNTER = Metric(
    name="inferwatch_test_total", type=MetricType.COUNTER, help="Counts.", labels=("x",)
)

AWKWARD = 'back\\slash, "quotes"\nand a line'


def _write(path: Path) -> None:
    """Write a history: one series that counts, one with an awkward label and awkward values."""
    table = SeriesTable()
    history = History(table, clock=ManualClock(), path=path)
    odd = [1.5, math.inf, -math.inf, math.nan, STALE, 1e-300]
    for second in range(400):
        values = {
            series(table, COUNTER, "a"): float(second),
            series(table, FULL, AWKWARD): odd[second % len(odd)],
        }
        history.append(frame(table, START + second, values))
    assert history.close()


def _exported(path: Path, *, start: float = 0.0, end: float = 2e9) -> str:
    """Return all of a history as text."""
    with closing(HistoryReader(path, Target(job="j", instance="i"))) as reader:
        return "".join(export(reader, [], start, end))


def test_the_text_says_what_the_history_holds(tmp_path: Path):
    """A parser of OpenMetrics finds every sample, name, label and time; ends are left out."""
    path = tmp_path / "history.db"
    _write(path)
    families = {f.name: f for f in text_string_to_metric_families(_exported(path))}
    assert {name: family.type for name, family in families.items()} == {
        "inferwatch_test": "counter",
        "inferwatch_test_full": "unknown",
        "up": "unknown",
    }
    counted = families["inferwatch_test"].samples
    assert [sample.value for sample in counted] == list(range(400))
    assert counted[5].labels == {"x": "a", "job": "j", "instance": "i"}
    assert float(counted[5].timestamp) == START + 5
    awkward = families["inferwatch_test_full"].samples
    assert awkward[0].labels["x"] == AWKWARD
    assert [str(sample.value) for sample in awkward[:5]] == ["1.5", "inf", "-inf", "nan", "1e-300"]


def test_a_range_and_selectors_narrow_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The command writes the series that any selector takes, after --from and up to --to."""
    path = tmp_path / "history.db"
    _write(path)
    command = ["history", "export", "-", "--path", str(path), "--match", '{x="a"}']
    command += ["--from", str(START + 10), "--to", "2027-01-15T08:00:20Z"]
    assert main(command) == 0
    families = list(text_string_to_metric_families(capsys.readouterr().out))
    assert [family.name for family in families] == ["inferwatch_test"]
    assert [sample.value for sample in families[0].samples] == list(range(11, 21))


def test_the_command_shows_span_series_and_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """One line for the file, one for each resolution."""
    path = tmp_path / "history.db"
    _write(path)
    assert main(["history", "--path", str(path)]) == 0
    whole, every, five = capsys.readouterr().out.splitlines()
    assert whole.startswith(f"{path}: ")
    assert whole.endswith(" 3 series")
    span = "2027-01-15 08:00:00 to 2027-01-15 08:06:39 UTC (6 min)"
    assert span in every
    assert span in five


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--path", "/nowhere/history.db"], "no history yet"),
        (["export", "-", "--path", "HERE", "--match", "rate(a[5m]) + b"], "one selector"),
        (["export", "-", "--path", "HERE", "--match", "{"], "--match {"),
        (["export", "HERE", "--path", "HERE"], "File exists"),
    ],
)
def test_the_command_says_what_is_wrong(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: str,
):
    """A sentence and status 2, never a traceback; a file that exists is not overwritten."""
    path = tmp_path / "history.db"
    _write(path)
    before = path.read_bytes()
    assert main(["history", *(argument.replace("HERE", str(path)) for argument in arguments)]) == 2
    assert expected in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize("moment", ["nan", "inf", "1795249260000", "yesterday"])
def test_the_command_refuses_what_is_no_moment(capsys: pytest.CaptureFixture[str], moment: str):
    """Milliseconds and the like would give an empty file, or none."""
    with pytest.raises(SystemExit) as raised:
        main(["history", "export", "-", "--from", moment])
    assert raised.value.code == 2
    assert "argument --from: expected Unix seconds" in capsys.readouterr().err


@pytest.mark.server
@NEEDS_PROMETHEUS
def test_prometheus_answers_from_an_export_as_the_history_does(tmp_path: Path):
    """`promtool` makes blocks of the text; a Prometheus on them gives the same samples."""
    path = tmp_path / "history.db"
    _write(path)
    text = tmp_path / "history.om"
    text.write_text(_exported(path))
    blocks = tmp_path / "blocks"
    subprocess.run(
        [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks)],
        check=True,
        capture_output=True,
    )
    with prometheus(tmp_path, "global: {}\n", data=blocks) as server:
        (found,) = server.found('inferwatch_test_total{job="j"}[400s]', time=str(START + 399))
    with closing(HistoryReader(path, Target(job="j", instance="i"))) as reader:
        (wanted,) = reader.select(named(COUNTER), START - 1, START + 399)
    assert found["metric"] == dict(wanted.labels)
    assert [(time, float(value)) for time, value in found["values"]] == list(
        zip(wanted.times, wanted.values, strict=True)
    )
