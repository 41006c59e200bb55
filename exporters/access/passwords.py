"""Basic authentication against bcrypt hashes, which take long to compare, on purpose.

    request ──► known to be right, or wrong? ──► answer at once
                     │ neither
                     └──► one comparison at a time, beside the loop ──► remembered

A comparison takes a core for 60 ms and more. So they wait in a line that is short, of which no
address has more than its part, and after a wrong password the next one waits three times as long
as it took: guessing never has more than a quarter of a core, and ticks go on.
"""

import asyncio
import base64
import binascii
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

from agent.aside import Aside
from agent.model import Clock

# What the toolkit remembers, too.
_REMEMBERED: Final = 100
_WAITING: Final = 16
_WAITING_EACH: Final = 4
_PATIENCE: Final = 3.0
_LONGEST_REST: Final = 1.0
# bcrypt looks at no more; what is longer was cut when it was hashed.
_USED: Final = 72
_ANY_COST: Final = "10"

Compare = Callable[[bytes, bytes], bool]


class Login(Enum):
    """How a request fares."""

    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"


def bcrypt_compare(password: bytes, hashed: bytes) -> bool:
    """Return whether a password is the one that was hashed."""
    import bcrypt  # not before somebody needs it

    return bcrypt.checkpw(password, hashed)


class Passwords:
    """Who has shown the right password.

    Args:
        clock: for the rest after a wrong password.
        compare: a password and a hash; takes long and is done in a thread.
    """

    def __init__(self, *, clock: Clock, compare: Compare = bcrypt_compare) -> None:
        self._clock = clock
        self._compare = compare
        self._aside = Aside("passwords")
        self._key = os.urandom(32)
        # The right ones apart, so that guesses never push them out.
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Future[bool]] = {}
        self._waiting: dict[str, int] = {}
        self._turn = asyncio.Lock()
        self._rest_until = 0.0

    async def check(self, users: Mapping[str, str], authorization: str, *, who: str) -> Login:
        """Return whether a request may pass.

        Args:
            users: the bcrypt hash of each.
            authorization: the header, empty without one.
            who: the address that asks.
        """
        shown = _shown(authorization)
        if shown is None:
            return Login.WRONG
        user, password = shown
        hashed = users.get(user)
        # Nobody learns from the time whether a user exists.
        against = hashed or _nobody(users)
        digest = self._digest(user, against, password)
        if hashed is not None and _remembered(self._right, digest):
            return Login.RIGHT
        if _remembered(self._wrong, digest):
            return Login.WRONG
        answer = self._under_way.get(digest)
        if answer is None:
            if not self._has_room(who):
                return Login.BUSY
            self._waiting[who] = self._waiting.get(who, 0) + 1
            work = self._compared(digest, password, against, who, known=hashed is not None)
            answer = asyncio.ensure_future(work)
            self._under_way[digest] = answer
        # Whoever gives up does not end it for those who ask the same.
        return Login.RIGHT if await asyncio.shield(answer) else Login.WRONG

    def _has_room(self, who: str) -> bool:
        """Return whether one more may wait."""
        full = sum(self._waiting.values()) >= _WAITING
        return not full and self._waiting.get(who, 0) < _WAITING_EACH

    async def _compared(
        self, digest: bytes, password: bytes, against: str, who: str, *, known: bool
    ) -> bool:
        """Compare, in turn, and remember the result."""
        try:
            async with self._turn:
                rest = self._rest_until - self._clock.monotonic()
                if rest > 0.0:
                    await self._clock.sleep(rest)
                begun = self._clock.monotonic()
                same = await self._aside.do(
                    lambda: self._compare(password[:_USED], against.encode())
                )
                right = same and known
                if not right:
                    took = self._clock.monotonic() - begun
                    rest = min(_PATIENCE * took, _LONGEST_REST)
                    self._rest_until = self._clock.monotonic() + rest
        finally:
            del self._under_way[digest]
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]
        _remember(self._right if right else self._wrong, digest)
        return right

    def _digest(self, user: str, hashed: str, password: bytes) -> bytes:
        """Return what stands for a login; the password cannot be had from it."""
        digest = hashlib.blake2b(key=self._key, digest_size=32)
        for part in (user.encode(), hashed.encode(), password):
            digest.update(len(part).to_bytes(4, "big") + part)
        return digest.digest()


def _shown(authorization: str) -> tuple[str, bytes] | None:
    """Return user and password of a header; None if it has none."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(value.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def _nobody(users: Mapping[str, str]) -> str:
    """Return a hash that no password has, of the cost of those that there are."""
    costs = [hashed.split("$")[2] for hashed in users.values()]
    return f"$2b${max(costs, default=_ANY_COST)}${'.' * 53}"


def _remembered(kept: OrderedDict[bytes, None], digest: bytes) -> bool:
    """Return whether something is remembered; then it is for longer."""
    if digest not in kept:
        return False
    kept.move_to_end(digest)
    return True


def _remember(kept: OrderedDict[bytes, None], digest: bytes) -> None:
    """Remember something, in the place of what was asked for the longest time ago."""
    kept[digest] = None
    while len(kept) > _REMEMBERED:
        kept.popitem(last=False)
