"""Rules on the running agent: their samples, their state on disk."""

import asyncio
import json
from pathlib import Path

import pytest

from agent.alerts.errors import RuleError
from agent.alerts.group import Site
from agent.alerts.source import OneTick
from agent.alerts.standing import Standing
from agent.app.alerting import Alerting
from agent.app.rules import configured_rules, rule_paths
from agent.config.settings import Alerts
from agent.model import Frame, Metric, MetricType, SeriesTable
from agent.steps import at_once
from agent.store.history import History
from tests.fakes.clock import ManualClock
from tests.fakes.rules import alert_group

V = Metric(name="v", type=MetricType.GAUGE, help="Made up.")
TWO = 'v or label_replace(v, "i", "1", "", "")'
RULES = f"{{alert: A, expr: 'v > 0', for: 2s}}, {{record: 'a:b', expr: 'v * on() ({TWO})'}}"


class Host:
    """An agent's rules on a clock of their own."""

    def __init__(self, folder: Path | None, rules: str = RULES, *, start: float = 0.0) -> None:
        self.clock = ManualClock(time=1_800_000_000.0 + start)
        self.table = SeriesTable()
        self.history = History(self.table, clock=self.clock)
        self.told: list[str] = []
        self.alerting = Alerting(
            alert_group(rules),
            site=Site(),
            table=self.table,
            history=self.history,
            clock=self.clock,
            tick=1.0,
            state_file=None if folder is None else folder / "state" / "alerts.json",
            told=self.told.append,
        )

    def tick(self, value: float) -> Frame:
        """Let a second pass."""
        frame = Frame(self.clock.time(), self.table, [self.table.intern(V)], [value])
        self.history.append(frame)
        done = self.alerting.evaluate(frame)
        self.clock.advance(1.0)
        return done

    def page(self) -> dict[str, float]:
        """Return what the rules say of themselves."""
        reading = self.alerting.reading()
        return {
            " ".join([self.table[i].metric.name, *self.table[i].labels]): value
            for i, value in zip(reading.ids, reading.values, strict=True)
        }


async def test_alerts_and_events_enter_the_frame():
    """The frame that goes on has the alerts to send and what happened to them."""
    host = Host(None)
    frames = [host.tick(value) for value in (1.0, 1.0, 1.0, 0.0)]
    assert [len(frame.alerts) for frame in frames] == [0, 0, 1, 1]
    assert [[event.kind for event in frame.events] for frame in frames] == [
        [],
        [],
        ["alert_firing"],
        ["alert_resolved"],
    ]


async def test_the_page_says_how_rules_fare():
    """Rules, active alerts by state, and failures by rule are samples like any other."""
    host = Host(None)
    host.tick(1.0)
    host.tick(1.0)
    page = host.page()
    page.pop("inferwatch_rules_duration_seconds")
    assert page == {
        "inferwatch_rules": 2.0,
        "inferwatch_alerts A pending": 1.0,
        "inferwatch_alerts A firing": 0.0,
        "inferwatch_alerts_flapping A": 0.0,
        "inferwatch_alert_state_change_ratio A": 0.0,
        "inferwatch_rule_evaluation_failures_total g a:b": 2.0,
    }
    assert len(host.told) == 1
    assert host.told[0].startswith("rule a:b of group g has no result: ")


async def test_the_page_says_what_flaps():
    """An alert that comes and goes is counted by its name, with its share of change."""
    host = Host(None)
    for number in range(15 * 60):
        host.tick(float(number // 60 % 2))
    page = host.page()
    assert page["inferwatch_alerts_flapping A"] == 1.0
    assert 0.5 < page["inferwatch_alert_state_change_ratio A"] <= 1.0


async def test_state_survives_a_restart(tmp_path: Path):
    """The next run goes on where this one ended; a folder that is not there is made."""
    host = Host(tmp_path)
    assert await host.alerting.restore() == 0
    for _second in range(3):
        host.tick(1.0)
    await host.alerting.aclose()
    await host.alerting.aclose()
    again = Host(tmp_path, start=10.0)
    assert await again.alerting.restore() == 1
    (alert,) = again.tick(1.0).alerts
    assert (alert.starts_at, alert.resolved) == (1_800_000_002.0, False)


async def test_state_is_saved_when_it_changes(tmp_path: Path):
    """A change of state is on disk soon after, without waiting for the end."""
    host = Host(tmp_path)
    file = tmp_path / "state" / "alerts.json"
    host.tick(1.0)
    for _turn in range(200):
        await asyncio.sleep(0.01)
        if file.exists():
            break
    saved = json.loads(file.read_text())
    assert [alert["state"] for alert in saved["alerts"]] == ["pending"]
    await host.alerting.aclose()


async def test_what_only_waits_is_saved_every_few_seconds(tmp_path: Path):
    """An alert that comes and goes while it waits writes no file each time; one that fires does."""
    host = Host(tmp_path)
    file = tmp_path / "state" / "alerts.json"
    known: list[list[str]] = []
    for value in (1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0):
        file.unlink(missing_ok=True)
        host.tick(value)
        if host.alerting.saving is not None:
            await host.alerting.saving
        states = json.loads(file.read_text())["alerts"] if file.exists() else None
        known.append(["-"] if states is None else [alert["state"] for alert in states])
    waiting = [["pending"], ["-"], ["-"], ["-"], ["-"], []]
    assert known == [*waiting, ["-"], ["-"], ["firing"], ["resolved"]]
    await host.alerting.aclose()


async def test_a_damaged_state_is_told_and_left(tmp_path: Path):
    """A state that makes no sense is said in the log and the rules begin anew."""
    file = tmp_path / "state" / "alerts.json"
    file.parent.mkdir()
    file.write_text('{"version": 1')
    host = Host(tmp_path)
    assert await host.alerting.restore() == 0
    assert "cannot be used" in host.told[0]
    assert host.tick(1.0).events == ()


async def test_a_state_that_cannot_be_saved_is_told_once(tmp_path: Path):
    """Where the state folder is no folder the rules go on, and it is said once."""
    (tmp_path / "state").write_text("")
    host = Host(tmp_path)
    for _second in range(3):
        host.tick(1.0)
        await host.alerting.aclose()
    assert len([line for line in host.told if "cannot be saved" in line]) == 1


async def test_rules_replaced_between_two_steps_wait_for_the_last():
    """A reload in the middle of an evaluation leaves that one whole; the next has the new rules."""
    host = Host(None)
    frame = Frame(host.clock.time(), host.table, [host.table.intern(V)], [1.0])
    host.history.append(frame)
    steps = host.alerting.in_steps(frame)
    next(steps)
    host.alerting.replace(alert_group("{alert: B, expr: v}"))
    at_once(steps)
    assert host.page()["inferwatch_rules"] == 1.0
    host.clock.advance(1.0)
    assert [alert.labels["alertname"] for alert in host.tick(1.0).alerts] == ["B"]


async def test_what_a_group_took_is_what_its_rules_took(monkeypatch: pytest.MonkeyPatch):
    """Seconds that others have between two rules do not count."""
    host = Host(None)
    at = Standing.at

    def slow(standing: Standing, tick: OneTick, time: float) -> object:
        host.clock.advance(0.25)
        return at(standing, tick, time)

    monkeypatch.setattr(Standing, "at", slow)
    frame = Frame(host.clock.time(), host.table, [host.table.intern(V)], [1.0])
    host.history.append(frame)
    for _turn in host.alerting.in_steps(frame):
        host.clock.advance(10.0)
    assert [group.took for group in host.alerting.engine.groups] == [0.5]
    assert host.page()["inferwatch_rules_duration_seconds"] == 0.5


async def test_rules_can_be_replaced():
    """After a reload the new rules are counted and evaluated."""
    host = Host(None)
    host.alerting.replace(alert_group("{alert: B, expr: v}"))
    host.tick(1.0)
    assert host.page()["inferwatch_alerts B firing"] == 1.0
    assert host.page()["inferwatch_rules"] == 1.0


async def test_a_reload_may_tell_others_with_other_links():
    """Where nobody was told, alerts go out once somebody is, with the links of the new settings."""
    host = Host(None, rules="{alert: A, expr: v}")
    host.alerting.replace(alert_group("{alert: A, expr: v}"), tells=False)
    assert not host.tick(1.0).alerts
    site = Site(external_url="http://other:9745")
    host.alerting.replace(alert_group("{alert: A, expr: v}"), site=site, tick=2.0, tells=True)
    told = host.tick(1.0).alerts
    assert [alert.annotations["page"] for alert in told] == ["http://other:9745"]
    assert host.alerting.engine.tick == 2.0


def test_settings_choose_the_rules(tmp_path: Path):
    """Shipped rules and files by pattern; a pattern without a file is a problem."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yml").write_text(
            f"groups: [{{name: {name}, rules: [{{alert: {name}, expr: v}}]}}]"
        )
    chosen = Alerts(shipped=False, rule_files=(tmp_path / "*.yml",), disabled=("a",))
    assert [group.name for group in configured_rules(chosen)] == ["b"]
    assert len(rule_paths(Alerts())) >= 5
    assert configured_rules(Alerts(enabled=False)) == ()
    with pytest.raises(RuleError, match=r"none\*: there is no such rule file"):
        configured_rules(Alerts(rule_files=(tmp_path / "none*",)))
