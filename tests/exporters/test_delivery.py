"""Delivery: at least once, in order, bounded, and nobody waits for it."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.model import Alert, SourceError
from exporters.alert_json import alert_as_json, alert_from_json
from exporters.delivery import Delivery, RefusedError
from exporters.spool import Spool
from exporters.told import Told
from exporters.waiting import BATCH, MAX_AGE, MAX_WAITING, Waiting
from tests.fakes.clock import LoopClock, ManualClock, run_virtual, virtual_clock

NOW = 1_800_000_000.0


def alert(name: str = "A", *, start: float = NOW, resolved: bool = False, **labels: str) -> Alert:
    """Return an alert."""
    return Alert(
        labels={"alertname": name, **labels},
        annotations={"summary": "s"},
        starts_at=start,
        ends_at=NOW + 240.0,
        resolved=resolved,
    )


def shown(alerts: Sequence[Alert]) -> list[str]:
    """Return alerts as short texts: the name, with a minus where it is the end."""
    return [one.labels["alertname"] + "-" * one.resolved for one in alerts]


class Receiver:
    """Takes alerts as told: `answers` are what happens at each request, the last for ever."""

    def __init__(self, *answers: str) -> None:
        self.answers = [*answers] or ["ok"]
        self.took: list[list[str]] = []
        self.asked_at: list[float] = []
        self.clock: LoopClock | None = None

    async def send(self, alerts: Sequence[Alert]) -> None:
        """Take them, refuse them, fail or hang."""
        if self.clock is not None:
            self.asked_at.append(self.clock.monotonic() - 1000.0)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        names = shown(alerts)
        if answer == "hang":
            await asyncio.sleep(1e6)
        if answer == "fail":
            raise SourceError("500")
        if answer == "refuse" or (answer == "refuse bad" and "bad" in names):
            raise RefusedError("400")
        self.took.append(names)


def deliver(
    receiver: Receiver,
    alerts: Sequence[Alert],
    *,
    seconds: float,
    spool: Spool | None = None,
    random: Callable[[], float] = lambda: 1.0,
) -> tuple[Delivery, list[str]]:
    """Deliver for some virtual seconds; return what delivered, and what was told."""
    told: list[str] = []

    async def run() -> Delivery:
        clock = virtual_clock()
        receiver.clock = clock
        delivery = Delivery(
            "main",
            receiver.send,
            timeout=10.0,
            clock=clock,
            random=random,
            spool=spool,
            told=lambda _name, error, _time: told.append(error),
        )
        delivery.start()
        delivery.put(alerts)
        await asyncio.sleep(seconds)
        await delivery.aclose()
        await delivery.aclose()
        return delivery

    return run_virtual(run()), told


def test_alerts_are_delivered():
    """What is put is taken, in its order, in one request."""
    receiver = Receiver()
    delivery, told = deliver(receiver, [alert("A"), alert("B")], seconds=1)
    assert receiver.took == [["A", "B"]]
    assert (delivery.counts.delivered, delivery.counts.waiting, delivery.counts.up) == (2, 0, True)
    assert told == [""]


def test_a_failure_is_tried_again_with_growing_pauses():
    """The pauses double from 1 s to 60 s, and what waited is taken in the end."""
    receiver = Receiver(*["fail"] * 9, "ok")
    delivery, told = deliver(receiver, [alert()], seconds=300)
    assert receiver.asked_at == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert receiver.took == [["A"]]
    assert (delivery.counts.failures, delivery.counts.delivered) == (9, 1)
    assert told == ["500"] * 9 + [""]


def test_pauses_are_spread():
    """Agents that fail together do not return together: half of each pause is left to chance."""
    receiver = Receiver("fail")
    deliver(receiver, [alert()], seconds=3.4, random=lambda: 0.0)
    assert receiver.asked_at == [0, 0.5, 1.5]


def test_a_receiver_that_hangs_is_given_up():
    """A request without an answer counts as failed after its timeout."""
    receiver = Receiver("hang", "ok")
    _delivery, told = deliver(receiver, [alert()], seconds=20)
    assert told[0] == "gave no answer within 10s"
    assert receiver.took == [["A"]]


def test_put_waits_for_nobody():
    """Handing over takes no time, whatever the receiver does."""

    async def run() -> float:
        clock = virtual_clock()
        receiver = Receiver("hang")
        delivery = Delivery("m", receiver.send, timeout=10.0, clock=clock, random=lambda: 1.0)
        delivery.start()
        for number in range(100):
            delivery.put([alert(str(number))])
        passed = clock.monotonic() - 1000.0
        await asyncio.sleep(1)
        await delivery.aclose()
        return passed

    assert run_virtual(run()) == 0.0


def test_an_alert_that_is_refused_is_not_tried_for_ever():
    """What the receiver will not take is counted, told, and out of the way."""
    receiver = Receiver("refuse")
    delivery, told = deliver(receiver, [alert()], seconds=100)
    assert len(receiver.asked_at) == 1
    assert (delivery.counts.refused, delivery.counts.waiting) == (1, 0)
    assert told == ["alert refused: 400"]


def test_one_bad_alert_takes_no_good_one_with_it():
    """When a batch is refused each of its alerts is judged alone."""
    receiver = Receiver("refuse bad")
    delivery, _told = deliver(receiver, [alert("A"), alert("bad"), alert("B")], seconds=1)
    assert receiver.took == [["A"], ["B"]]
    assert (delivery.counts.refused, delivery.counts.delivered) == (1, 2)


def test_the_end_comes_after_the_beginning():
    """Beginning and end of an alert go in two requests, in this order, even after a failure."""
    receiver = Receiver("fail", "ok")
    both = [alert("A"), alert("B"), alert("A", resolved=True)]
    deliver(receiver, both, seconds=10)
    assert receiver.took == [["A", "B"], ["A-"]]


def test_what_is_told_anew_is_not_told_twice():
    """While an alert waits, a newer telling takes its place; nothing piles up."""
    waiting = Waiting()
    assert waiting.put([alert("A"), alert("B")]) == 0
    newer = alert("A")
    waiting.put([newer])
    assert shown([*waiting.alerts.values()]) == ["A", "B"]
    assert next(iter(waiting.alerts.values())) is newer


def test_what_is_told_anew_during_a_request_is_not_forgotten():
    """What came while the request was under way goes out after it."""

    async def run() -> list[list[str]]:
        receiver = Receiver()
        delivery = Delivery(
            "m", receiver.send, timeout=10.0, clock=virtual_clock(), random=lambda: 1.0
        )

        async def slow(alerts: Sequence[Alert]) -> None:
            await asyncio.sleep(5)
            await receiver.send(alerts)

        delivery._send = slow
        delivery.start()
        delivery.put([alert("A")])
        await asyncio.sleep(1)
        delivery.put([alert("A")])
        await asyncio.sleep(20)
        await delivery.aclose()
        return receiver.took

    assert run_virtual(run()) == [["A"], ["A"]]


def test_the_queue_is_bounded():
    """Beyond the bound the oldest are dropped and counted; a request has a bound as well."""
    receiver = Receiver("fail", "ok")
    many = [alert(str(number)) for number in range(MAX_WAITING + 10)]
    delivery, _told = deliver(receiver, many, seconds=60)
    assert delivery.counts.dropped == 10
    assert receiver.took[0][0] == "10"
    assert {len(batch) for batch in receiver.took[:-1]} == {BATCH}
    assert sum(map(len, receiver.took)) == MAX_WAITING


def test_what_is_too_old_is_given_up():
    """An alert that nobody took for a day is dropped and counted."""
    receiver = Receiver("fail")
    delivery, _told = deliver(receiver, [alert()], seconds=MAX_AGE + 600)
    assert (delivery.counts.dropped, delivery.counts.waiting) == (1, 0)


def test_what_waits_survives_a_restart(tmp_path: Path):
    """What could not be delivered is delivered by the next run, before what came since."""
    spool = Spool(tmp_path / "main.spool", max_size=10**6)
    down = Receiver("fail")
    asyncio.run(_really(down, [alert("A"), alert("A", resolved=True)], spool))
    assert spool.path.exists()
    up = Receiver()
    asyncio.run(_really(up, [alert("B")], spool))
    assert up.took == [["A"], ["A-", "B"]]
    assert not spool.path.exists()


async def test_what_comes_while_the_spool_is_written_is_not_left_waiting(tmp_path: Path):
    """An alert that is put in the middle of a write is told at once, and not with the next one."""
    loop = asyncio.get_running_loop()
    told, second = asyncio.Event(), [alert("B")]

    async def send(alerts: Sequence[Alert]) -> None:
        if shown(alerts) == ["B"]:
            told.set()

    class Slow(Spool):
        def save(self, items: Iterable[dict[str, Any]]) -> int:
            left_out = super().save(items)
            if second:
                asyncio.run_coroutine_threadsafe(put(second.pop()), loop).result(10.0)
            return left_out

    async def put(one: Alert) -> None:
        delivery.put([one])

    delivery = Delivery(
        "main",
        send,
        timeout=10.0,
        clock=ManualClock(),
        random=lambda: 1.0,
        spool=Slow(tmp_path / "spool", max_size=10_000),
        once=Told(3600.0),
    )
    delivery.start()
    delivery.put([alert("A")])
    async with asyncio.timeout(10.0):
        await told.wait()
    await delivery.aclose()


def test_an_end_before_the_beginning_loses_nothing(tmp_path: Path):
    """An agent that ends before it has read what waited keeps that, with what came since."""
    spool = Spool(tmp_path / "main.spool", max_size=10**6)
    asyncio.run(_really(Receiver("fail"), [alert("A")], spool))

    async def end_at_once() -> None:
        delivery = Delivery(
            "main", Receiver().send, timeout=1.0, clock=_Patient(), random=lambda: 1.0, spool=spool
        )
        delivery.start()
        delivery.put([alert("B")])
        await delivery.aclose()

    asyncio.run(end_at_once())
    up = Receiver()
    asyncio.run(_really(up, [], spool))
    assert up.took == [["A", "B"]]


async def _really(receiver: Receiver, alerts: Sequence[Alert], spool: Spool) -> None:
    """Deliver with a thread for the spool, until the first request was made."""
    delivery = Delivery(
        "main", receiver.send, timeout=10.0, clock=_Patient(), random=lambda: 1.0, spool=spool
    )
    delivery.put(alerts)
    delivery.start()
    for _turn in range(2000):
        await asyncio.sleep(0.001)
        if delivery.counts.failures or delivery.counts.delivered:
            break
    await delivery.aclose()


class _Patient:
    """A clock whose sleep lasts until it is cancelled."""

    def time(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.Event().wait()


def test_a_spool_that_cannot_be_used_stops_no_delivery(tmp_path: Path):
    """Where the spool is no file that can be read or written, alerts are delivered all the same."""
    (tmp_path / "main.spool").mkdir()
    receiver = Receiver()
    asyncio.run(_really(receiver, [alert()], Spool(tmp_path / "main.spool", max_size=1000)))
    assert receiver.took == [["A"]]


labels = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=4)


@given(labels=labels, start=st.floats(0, 4e9), resolved=st.booleans())
def test_an_alert_survives_its_json(labels: dict[str, str], start: float, *, resolved: bool):
    """An alert read from JSON is the alert that was written."""
    one = Alert(
        labels=labels, annotations=labels, starts_at=start, ends_at=start, resolved=resolved
    )
    assert alert_from_json(alert_as_json(one)) == one


@given(
    item=st.dictionaries(
        st.sampled_from(["labels", "annotations", "starts_at", "ends_at", "resolved"]),
        st.none() | st.integers() | st.text(max_size=3) | st.lists(st.none(), max_size=2),
    )
)
def test_what_is_no_alert_is_none(item: dict[str, object]):
    """JSON that is no alert gives none."""
    assert alert_from_json(item) is None
