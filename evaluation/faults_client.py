"""Asks an engine as its users do, at a rate, and keeps what each of them got."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import aiohttp

from agent.analysis.bottleneck import Targets

VOCABULARY = 2000
"""Tokens that the model of `tests/fakes/tiny_model.py` knows, its special ones left out."""

PATIENCE = 30.0
"""Seconds after which a user gives up."""

_AT_ONCE = 400
_LOOK = 0.25


@dataclass(slots=True, kw_only=True)
class Asked:
    """One request, by the clock of who asked.

    Attributes:
        begun: Unix seconds at which it was sent.
        prompt: tokens sent.
        wanted: tokens asked for.
        status: of HTTP; 0 where there was no answer.
        first: Unix seconds of its first token, None without one.
        ended: Unix seconds of its last token or its failure; 0 while it is under way.
        tokens: pieces that came, one a token.
        whole: whether the answer came to its end.
    """

    begun: float
    prompt: int
    wanted: int
    status: int = 0
    first: float | None = None
    ended: float = 0.0
    tokens: int = 0
    whole: bool = False

    def kept(self, targets: Targets) -> bool:
        """Return whether it got what it asked for within both targets."""
        if not self.whole or self.first is None:
            return False
        gap = (self.ended - self.first) / max(self.tokens - 1, 1)
        return (
            self.first - self.begun <= targets.time_to_first_token
            and gap <= targets.inter_token_latency
        )

    def harmed(self, targets: Targets) -> float | None:
        """Return the Unix seconds at which its user was let down, None if never.

        Without a first token that is when its target ran out, or earlier if it failed before.
        """
        if self.kept(targets):
            return None
        late = self.begun + targets.time_to_first_token
        if self.first is None or self.first > late:
            return min(late, self.ended)
        return self.ended


@dataclass(slots=True, kw_only=True)
class Load:
    """Users who come at random, whatever became of those before them.

    Attributes:
        url: of the engine.
        rate: requests a second; may be changed while it runs, as all that follows.
        prompt: fewest and most tokens of a prompt.
        output: fewest and most tokens of an answer.
        key: that they show, if any.
        patience: seconds after which they give up.
        asked: everything that was asked, in the order in which it began.
    """

    url: str
    rate: float = 0.0
    prompt: tuple[int, int] = (64, 192)
    output: tuple[int, int] = (32, 96)
    key: str = ""
    patience: float = PATIENCE
    asked: list[Asked] = field(default_factory=list)
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, *, seed: int = 1) -> None:
        """Ask until cancelled; the gaps between requests are exponential.

        Who waits for an answer when it is cancelled leaves, and is neither served nor let down.
        """
        chance = random.Random(seed)
        limit = aiohttp.ClientTimeout(total=self.patience)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with (
            aiohttp.ClientSession(timeout=limit, connector=connector) as session,
            self._leaving(),
        ):
            while True:
                # Exponential gaps have no memory, so one that is cut short may be drawn anew.
                gap = chance.expovariate(self.rate) if self.rate > 0.0 else 2.0 * _LOOK
                await asyncio.sleep(min(gap, _LOOK))
                if gap < _LOOK and len(self.under_way) < _AT_ONCE:
                    task = asyncio.create_task(self.ask(session, chance))
                    self.under_way.add(task)
                    task.add_done_callback(self.under_way.discard)

    @contextlib.asynccontextmanager
    async def _leaving(self) -> AsyncIterator[None]:
        """Let everyone who is still waiting leave at the end."""
        try:
            yield
        finally:
            waiting = [*self.under_way]
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def closed(self, streams: int, seconds: float, *, seed: int = 2) -> None:
        """Keep so many requests under way for a time: as much as the engine can do."""
        chance = random.Random(seed)
        end = time.time() + seconds
        limit = aiohttp.ClientTimeout(total=self.patience)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)

        async def stream(session: aiohttp.ClientSession) -> None:
            while time.time() < end:
                await self.ask(session, chance)

        async with aiohttp.ClientSession(timeout=limit, connector=connector) as session:
            await asyncio.gather(*(stream(session) for _ in range(streams)))

    async def ask(self, session: aiohttp.ClientSession, chance: random.Random) -> None:
        """Send one request and keep what became of it."""
        tokens = [chance.randrange(3, VOCABULARY) for _ in range(chance.randint(*self.prompt))]
        one = Asked(begun=time.time(), prompt=len(tokens), wanted=chance.randint(*self.output))
        self.asked.append(one)
        body = {
            "model": "tiny",
            "prompt": tokens,
            "max_tokens": one.wanted,
            "ignore_eos": True,
            "stream": True,
        }
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            async with session.post(
                f"{self.url}/v1/completions", json=body, headers=headers
            ) as answer:
                one.status = answer.status
                async for line in answer.content:
                    if answer.status == 200 and _take(one, line):
                        break
        # RuntimeError: so aiohttp says it where the connection went while nobody read from it.
        except (aiohttp.ClientError, TimeoutError, RuntimeError):
            pass
        one.ended = time.time()


def _take(one: Asked, line: bytes) -> bool:
    """Take a line of a stream of events; return whether it is the last."""
    if not line.startswith(b"data: "):
        return False
    data = line[6:].strip()
    if data == b"[DONE]":
        one.whole = True
        return True
    if json.loads(data).get("choices"):
        one.first = one.first or time.time()
        one.tokens += 1
    return False


def within(asked: Iterable[Asked], targets: Targets) -> float | None:
    """Return the share of requests that kept both targets, None of none."""
    kept = [one.kept(targets) for one in asked]
    return sum(kept) / len(kept) if kept else None
