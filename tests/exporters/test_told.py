"""Receivers that hear of each thing once: what is news to them, also after a restart."""

import json
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.model import Alert
from exporters.delivery import Delivery
from exporters.spool import Spool
from exporters.told import MAX_TOLD, Told
from exporters.waiting import key_of
from tests.fakes.clock import ManualClock

NOW = 1_800_000_000.0
HOUR = 3600.0


def alert(name: str = "A", *, start: float = NOW, resolved: bool = False) -> Alert:
    """Return an alert."""
    return Alert(
        labels={"alertname": name},
        annotations={},
        starts_at=start,
        ends_at=NOW + 240.0,
        resolved=resolved,
    )


def took(told: Told, one: Alert, time: float) -> None:
    """Let the receiver have taken an alert."""
    told.took([key_of(one)], time)


def test_each_thing_is_news_once():
    """What was taken is no news until it fires on for long; its end and its return are."""
    told = Told(4 * HOUR)
    took(told, alert(), NOW)
    assert told.news([alert()], NOW + 60.0) == []
    assert told.news([alert(resolved=True)], NOW + 60.0) == [alert(resolved=True)]
    assert told.news([alert(start=NOW + 90.0)], NOW + 90.0) == [alert(start=NOW + 90.0)]
    assert told.news([alert()], NOW + 4 * HOUR) == [alert()]


def test_an_end_is_not_repeated():
    """The end is offered for a quarter of an hour, and is told once however often others are."""
    told = Told(60.0)
    took(told, alert(resolved=True), NOW)
    took(told, alert(), NOW)
    assert told.news([alert(resolved=True), alert()], NOW + 900.0) == [alert()]


def test_a_clock_that_went_back_silences_nothing():
    """What was taken at a time to come is told again."""
    told = Told(4 * HOUR)
    took(told, alert(), NOW + HOUR)
    assert told.news([alert()], NOW) == [alert()]


def test_what_is_remembered_is_bounded():
    """Of too many tellings the oldest are forgotten; so are those that count no more."""
    told = Told(HOUR)
    told.took([key_of(alert(str(number))) for number in range(MAX_TOLD)], NOW)
    assert len(told.as_json()) == MAX_TOLD
    for number in range(10):
        took(told, alert(f"more {number}"), NOW)
    assert len(told.as_json()) == MAX_TOLD
    assert told.as_json()[0]["told"] == list(key_of(alert("10")))
    took(told, alert("late"), NOW + 2 * HOUR)
    assert [item["at"] for item in told.as_json()] == [NOW + 2 * HOUR]


@given(
    st.lists(
        st.tuples(st.text(max_size=3), st.booleans(), st.floats(0, 1000)), min_size=1, max_size=20
    )
)
def test_it_survives_json(tellings: list[tuple[str, bool, float]]):
    """What was read back from JSON silences the same as what was written."""
    told = Told(HOUR)
    for name, resolved, after in tellings:
        took(told, alert(name, resolved=resolved), NOW + after)
    again = Told(HOUR)
    assert all(again.take_up(item) for item in json.loads(json.dumps(told.as_json())))
    offered = [alert(name, resolved=resolved) for name, resolved, _after in tellings]
    assert again.news(offered, NOW + 1000.0) == told.news(offered, NOW + 1000.0)


@given(
    st.dictionaries(st.sampled_from(["told", "at"]), st.none() | st.text() | st.lists(st.none()))
)
def test_what_makes_no_sense_is_left(item: dict[str, object]):
    """Items of another kind are not taken for tellings."""
    assert not Told(HOUR).take_up(item)


class Receiver:
    """Takes what it is told, unless it is down."""

    def __init__(self) -> None:
        self.took: list[str] = []
        self.down = False

    async def send(self, alerts: Sequence[Alert]) -> None:
        """Take alerts."""
        if self.down:
            raise OSError("down")
        self.took += [one.labels["alertname"] + "-" * one.resolved for one in alerts]


async def run(
    receiver: Receiver, spool: Spool, clock: ManualClock, *rounds: Sequence[Alert]
) -> Delivery:
    """Run an agent that offers alerts, a minute after another, until it is ended."""
    delivery = Delivery(
        "keep",
        receiver.send,
        timeout=10.0,
        clock=clock,
        random=lambda: 1.0,
        spool=spool,
        batch=1,
        once=Told(4 * HOUR),
    )
    for alerts in rounds:
        delivery.put(alerts)
        await delivery._load()
        while delivery._waiting.alerts and await delivery._deliver():
            pass
        clock.advance(60.0)
    await delivery._save()
    return delivery


async def test_an_agent_that_restarts_tells_nothing_twice(tmp_path: Path):
    """What fires on is told once over restarts, its end once; what was not taken is not lost."""
    spool = Spool(tmp_path / "keep.spool", max_size=10**6)
    clock, receiver = ManualClock(time=NOW), Receiver()
    await run(receiver, spool, clock, [alert()], [alert()], [alert()])
    assert receiver.took == ["A"]
    await run(receiver, spool, clock, [alert()], [alert("B")])
    assert receiver.took == ["A", "B"]
    receiver.down = True
    await run(receiver, spool, clock, [alert(resolved=True)])
    receiver.down = False
    delivery = await run(receiver, spool, clock, [alert("B")], [alert(resolved=True)])
    assert receiver.took == ["A", "B", "A-"]
    assert (delivery.counts.delivered, delivery.counts.waiting) == (1, 0)


async def test_what_is_told_anew_during_a_request_is_not_told_twice():
    """An alert that is offered again while it is being told is no news once it was taken."""
    clock, receiver = ManualClock(time=NOW), Receiver()
    delivery = Delivery(
        "keep", receiver.send, timeout=10.0, clock=clock, random=lambda: 1.0, once=Told(HOUR)
    )
    delivery.put([alert()])

    async def slow(alerts: Sequence[Alert]) -> None:
        delivery.put([alert()])
        await receiver.send(alerts)

    delivery._send = slow
    assert await delivery._deliver()
    assert delivery.counts.waiting == 0
    assert receiver.took == ["A"]
