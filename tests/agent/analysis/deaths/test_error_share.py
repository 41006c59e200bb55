"""The share of failed requests counts those that a dead engine could not answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.deaths.error_share import WINDOW, ErrorShare
from agent.analysis.deaths.page import Page, PageReader
from tests.fakes.watched import CHAT, Watched


def pages(host: Watched) -> Page:
    """Return what the next frame says of the engine."""
    return PageReader().read(host.frame())[CHAT]


def follow(
    share: ErrorShare, host: Watched, seconds: int, *, rate: int, bad: int = 0
) -> float | None:
    """Return the share after the engine answered so many a second, some of them badly."""
    last = None
    for _second in range(seconds):
        host.total = getattr(host, "total", 0) + rate
        host.failed = getattr(host, "failed", 0) + bad
        host.answers(well=host.total - host.failed, badly=host.failed)
        host.page(REQUESTS_RUNNING=0)
        last = share.tick(host.time, pages(host))
    return last


def away(share: ErrorShare, host: Watched, seconds: int) -> float | None:
    """Return the share after the engine could not be reached for so long."""
    host.silent()
    last = None
    for _second in range(seconds):
        last = share.tick(host.time, pages(host))
    return last


@pytest.mark.parametrize(("bad", "expected"), [(0, 0.0), (1, 0.1), (10, 1.0)])
def test_errors_of_an_engine_that_answers(bad: int, expected: float):
    """While it can be reached, the share is that of its answers."""
    assert follow(ErrorShare(), Watched(), 60, rate=10, bad=bad) == pytest.approx(expected)


def test_what_nobody_could_answer_has_failed():
    """30 of 90 seconds out of reach, at the same demand, are a third of the requests."""
    share, host = ErrorShare(), Watched()
    follow(share, host, 61, rate=10)
    assert away(share, host, 30) == pytest.approx(1 / 3, abs=0.01)
    assert away(share, host, 200) == pytest.approx(1.0)


def test_requests_that_were_in_it_are_lost():
    """Requests that were running when it went have failed, though nobody answered them."""
    share, host = ErrorShare(), Watched()
    follow(share, host, 60, rate=1)
    host.page(REQUESTS_RUNNING=60)
    share.tick(host.time, pages(host))
    assert away(share, host, 2) == pytest.approx(61 / 120, abs=0.02)


def test_it_ends_with_the_window():
    """Once it has answered for a whole window, what was before no longer counts."""
    share, host = ErrorShare(), Watched()
    follow(share, host, 30, rate=10)
    away(share, host, 30)
    assert follow(share, host, int(WINDOW) + 2, rate=10) == pytest.approx(0.0, abs=1e-6)


def test_nobody_asked():
    """Without any request there is no share, and without counted answers neither."""
    assert follow(ErrorShare(), Watched(), 30, rate=0) is None
    share, host = ErrorShare(), Watched()
    host.page(REQUESTS_RUNNING=3)
    assert share.tick(host.time, pages(host)) is None
    assert away(share, host, 10) is None


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.integers(0, 50),
            st.integers(0, 9),
            st.sampled_from([1.0, 1.0, 1.0, 30.0, 500.0, -90.0]),
        ),
        max_size=80,
    )
)
def test_it_is_a_share(ticks: list[tuple[bool, int, int, float]]):
    """Whatever happens, restarts and clock steps included, it lies between 0 and 1."""
    share, host = ErrorShare(), Watched()
    for up, well, badly, step in ticks:
        host.answers(well=well, badly=badly)
        if up:
            host.page(REQUESTS_RUNNING=badly)
        else:
            host.silent()
        found = share.tick(host.time, pages(host))
        host.time += step
        assert found is None or 0.0 <= found <= 1.0
