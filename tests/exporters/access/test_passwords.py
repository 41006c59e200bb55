"""Passwords: who passes, what it costs those who guess, and that nobody else pays for it."""

import asyncio
import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.access.passwords import Login, Passwords, bcrypt_compare
from tests.fakes.certificates import HASH, PASSWORD
from tests.fakes.clock import ManualClock

USERS = {"alice": HASH}
OTHER = "$2b$12$" + "a" * 53


def basic(user: str, password: str) -> str:
    """Return the header that shows a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


RIGHT = basic("alice", PASSWORD)


class Compared:
    """Compares without bcrypt, and counts; takes as long as told."""

    def __init__(self, right: str = PASSWORD, *, during: Callable[[], None] | None = None) -> None:
        self.asked: list[tuple[bytes, bytes]] = []
        self._right = right.encode()
        self._during = during

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        """Return whether it is the right one, and note what was compared."""
        self.asked.append((password, hashed))
        if self._during is not None:
            self._during()
        return password == self._right and hashed == HASH.encode()


def _passwords(compare: Compared, clock: ManualClock | None = None) -> Passwords:
    return Passwords(clock=clock or ManualClock(), compare=compare)


async def test_a_real_hash():
    """With bcrypt itself, the password passes and another one does not."""
    passwords = Passwords(clock=ManualClock())
    assert await passwords.check(USERS, RIGHT, who="a") is Login.RIGHT
    assert await passwords.check(USERS, basic("alice", "no"), who="a") is Login.WRONG
    assert await passwords.check(USERS, basic("bob", PASSWORD), who="a") is Login.WRONG


@pytest.mark.parametrize("version", ["2a", "2b", "2y"])
def test_the_versions_of_bcrypt(version: str):
    """Hashes of htpasswd (2y), of Go (2a) and of Python (2b) are the same but for their name."""
    assert bcrypt_compare(PASSWORD.encode(), HASH.replace("2b", version, 1).encode())


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Bearer abc",
        "Basic !!!",
        "Basic YWxpY2U=",  # no colon
        "Basic /////w==",  # not UTF-8
        "Basic YWxpY2U6eA",  # not padded
    ],
)
async def test_what_shows_no_password(header: str):
    """A header that holds no user and password is refused without any comparison."""
    compare = Compared()
    assert await _passwords(compare).check(USERS, header, who="a") is Login.WRONG
    assert compare.asked == []


async def test_the_scheme_in_any_case():
    """`basic` is written as one likes, as HTTP says."""
    header = RIGHT.replace("Basic", "bAsIc")
    assert await _passwords(Compared()).check(USERS, header, who="a") is Login.RIGHT


async def test_each_login_is_compared_once():
    """What was right or wrong before is answered from memory."""
    compare = Compared()
    passwords = _passwords(compare)
    for _ in range(3):
        assert await passwords.check(USERS, RIGHT, who="a") is Login.RIGHT
        assert await passwords.check(USERS, basic("alice", "no"), who="b") is Login.WRONG
    assert len(compare.asked) == 2


async def test_another_hash_is_another_login():
    """Once a user has another hash, or is gone, what was remembered counts no more."""
    passwords = _passwords(Compared())
    assert await passwords.check(USERS, RIGHT, who="a") is Login.RIGHT
    assert await passwords.check({"alice": OTHER}, RIGHT, who="a") is Login.WRONG
    assert await passwords.check({"bob": HASH}, RIGHT, who="a") is Login.WRONG
    assert await passwords.check(USERS, RIGHT, who="a") is Login.RIGHT


async def test_unknown_users_cost_the_same():
    """A user who does not exist is compared as well, with a hash of the same cost."""
    compare = Compared()
    await _passwords(compare).check({"carol": OTHER}, basic("bob", "x"), who="a")
    ((_password, hashed),) = compare.asked
    assert hashed.startswith(b"$2b$12$")
    assert len(hashed) == len(HASH)
    assert not bcrypt_compare(b"x", hashed.replace(b"$12$", b"$04$"))


async def test_guesses_do_not_push_out_who_was_right():
    """However many guesses come, whoever passed before still does so at once."""
    compare = Compared()
    passwords = _passwords(compare)
    await passwords.check(USERS, RIGHT, who="a")
    for number in range(300):
        await passwords.check(USERS, basic("alice", str(number)), who="b")
    before = len(compare.asked)
    assert await passwords.check(USERS, RIGHT, who="a") is Login.RIGHT
    assert len(compare.asked) == before
    assert len(passwords._wrong) == 100


async def test_the_same_login_at_once_is_compared_once():
    """A dashboard that sends twenty requests at once is one comparison."""
    compare = Compared()
    passwords = _passwords(compare)
    found = await asyncio.gather(*(passwords.check(USERS, RIGHT, who="a") for _ in range(20)))
    assert found == [Login.RIGHT] * 20
    assert len(compare.asked) == 1


async def test_the_line_is_short():
    """Of many who guess, few wait: four of one address, sixteen of all; others come back later."""
    passwords = _passwords(Compared())
    tries = [
        passwords.check(USERS, basic("alice", f"{who} {number}"), who=f"host {who}")
        for who in range(6)
        for number in range(6)
    ]
    found = await asyncio.gather(*tries)
    assert found.count(Login.WRONG) == 16
    assert found.count(Login.BUSY) == 20
    for who in range(4):
        assert found[6 * who : 6 * who + 6] == [Login.WRONG] * 4 + [Login.BUSY] * 2
    assert passwords._waiting == {}


async def test_another_address_is_heard_while_one_guesses():
    """Guesses from one address leave room for the first login from another."""
    passwords = _passwords(Compared())
    guesses = [passwords.check(USERS, basic("alice", str(n)), who="bad") for n in range(50)]
    *_, found = await asyncio.gather(*guesses, passwords.check(USERS, RIGHT, who="good"))
    assert found is Login.RIGHT


async def test_a_wrong_password_is_followed_by_a_rest():
    """After a comparison that failed the next waits three times as long, at most a second."""
    clock = ManualClock()
    taken = [0.1, 2.0, 0.1]
    compare = Compared(during=lambda: clock.advance(taken.pop(0)))
    passwords = _passwords(compare, clock)
    begun = clock.monotonic()
    for number in range(2):
        await passwords.check(USERS, basic("alice", str(number)), who="a")
    assert clock.monotonic() - begun == pytest.approx(0.1 + 0.3 + 2.0)
    assert await passwords.check(USERS, RIGHT, who="a") is Login.RIGHT
    assert clock.monotonic() - begun == pytest.approx(0.1 + 0.3 + 2.0 + 1.0 + 0.1)


async def test_whoever_gives_up_does_not_end_it_for_others():
    """A request that is cancelled leaves the comparison to those who wait for the same."""
    passwords = _passwords(Compared())
    first = asyncio.create_task(passwords.check(USERS, RIGHT, who="a"))
    second = asyncio.create_task(passwords.check(USERS, RIGHT, who="b"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is Login.RIGHT


async def test_bcrypt_looks_at_72_bytes():
    """A longer password is cut, as the tools cut it that made the hash."""
    long = PASSWORD + "x" * 80
    compare = Compared(long[:72])
    assert await _passwords(compare).check(USERS, basic("alice", long), who="a") is Login.RIGHT


@given(st.text(max_size=40), st.text(max_size=40))
def test_only_the_password_passes(user: str, password: str):
    """Any user and password pass exactly if they are those that there are."""
    found = asyncio.run(_passwords(Compared()).check(USERS, basic(user, password), who="a"))
    assert (found is Login.RIGHT) == ((user, password) == ("alice", PASSWORD))
