"""What the web configuration file asks of those who come, as it is now.

The file, its certificates and its keys are looked at again at each new connection and each
request: a certificate that was renewed is shown to the next who connects. What cannot be used is
said, and what was in use stays.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from agent.aside import Aside
from agent.config.web import WebConfig
from agent.config.web_file import load_web_config
from agent.model import Clock, ConfigError
from exporters.access.passwords import Login, Passwords
from exporters.access.rate import Bucket
from exporters.access.tls import server_context

# Seconds that a request waits for a look at the files; a disk that hangs costs one request that.
_PATIENCE: Final = 1.0
# Seconds for the first reading, without which the agent does not start.
_FIRST: Final = 10.0

Stamp: TypeAlias = tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """A web configuration that was read, and what it leads to.

    Attributes:
        path: of the file.
        config: what it says.
        context: how connections are encrypted; None where they are not.
        stamps: how each file looked before it was read.
    """

    path: Path
    config: WebConfig
    context: ssl.SSLContext | None
    stamps: Mapping[Path, Stamp]


@dataclass(slots=True)
class _Reading:
    """One attempt to read everything; `stamps` hold what it got to, also when it fails."""

    path: Path
    stamps: dict[Path, Stamp] = field(default_factory=dict)

    def read(self) -> InUse:
        """Return what is there; raises ConfigError."""
        self.stamps[self.path] = stamp(self.path)
        config = load_web_config(self.path)
        tls = config.tls_server_config
        for name in tls.files():
            self.stamps[self.path.parent / name] = stamp(self.path.parent / name)
        context = server_context(tls, self.path.parent) if tls.enabled else None
        return InUse(path=self.path, config=config, context=context, stamps=dict(self.stamps))


def read_all(path: Path) -> InUse:
    """Return what a web configuration leads to, its certificates and keys read; blocks.

    Raises:
        ConfigError: it has problems, or a file that it names has.
    """
    return _Reading(path).read()


def stamp(path: Path) -> Stamp:
    """Return what changes with a file; None for one that cannot be seen."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def _silent(_problem: str) -> None:
    """Tell nobody."""


def _nothing() -> None:
    """Do nothing."""


class Guard:
    """Decides who may ask.

    Args:
        clock: for the rate and for waits.
        told: called with what is wrong with the files when they have changed, or with nothing
            once they are well.
        passwords: who has shown the right password.

    Attributes:
        changed: called when what is asked of connections is another than before.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        told: Callable[[str], None] = _silent,
        passwords: Passwords | None = None,
    ) -> None:
        self._clock = clock
        self._told = told
        self._passwords = passwords or Passwords(clock=clock)
        self._aside = Aside("web config")
        self._used: InUse | None = None
        self._tried: Mapping[Path, Stamp] = {}
        self._bucket: Bucket | None = None
        self._look: asyncio.Task[None] | None = None
        self._look_begun = 0.0
        self._late = False
        self.changed: Callable[[], None] = _nothing

    @property
    def is_set(self) -> bool:
        """Whether there is a web configuration."""
        return self._used is not None

    @property
    def used(self) -> InUse | None:
        """What is in use now."""
        return self._used

    @property
    def has_users(self) -> bool:
        """Whether a request has to show a password."""
        return self._used is not None and bool(self._used.config.basic_auth_users)

    @property
    def encrypts(self) -> bool:
        """Whether there is TLS."""
        return self._used is not None and self._used.context is not None

    @property
    def is_limited(self) -> bool:
        """Whether requests are counted."""
        return self._bucket is not None

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers for every answer."""
        return {} if self._used is None else self._used.config.http_server_config.headers

    async def read(self, path: Path | None) -> InUse | None:
        """Return what a file leads to, without using it; None without a file.

        Raises:
            ConfigError: it has problems, or does not answer.
        """
        if path is None:
            return None
        try:
            async with asyncio.timeout(_FIRST):
                return await self._aside.do(lambda: read_all(path))
        except TimeoutError:
            raise ConfigError(f"{path}: gave no answer within {_FIRST:g} s") from None

    def adopt(self, found: InUse | None) -> None:
        """Use what was read from now on."""
        before, self._used = self._used, found
        self._tried = {} if found is None else found.stamps
        limit = None if found is None else found.config.rate_limit
        if limit is None or not limit.interval:
            self._bucket = None
        elif before is None or before.config.rate_limit != limit or self._bucket is None:
            self._bucket = Bucket(interval=limit.interval, burst=limit.burst, clock=self._clock)
        if _asked_of_connections(before) != _asked_of_connections(found):
            self.changed()

    async def refresh(self) -> None:
        """Look at the files again, and use what has changed; returns soon, whatever they do."""
        if self._used is None:
            return
        now = self._clock.monotonic()
        if self._look is None or self._look.done():
            self._look = asyncio.ensure_future(self._renew(self._used))
            self._look_begun = now
        left = max(0.0, self._look_begun + _PATIENCE - now)
        done, _ = await asyncio.wait({self._look}, timeout=left)
        if not done and not self._late:
            self._late = True
            self._told(f"{self._used.path}: it or a file that it names gives no answer")

    async def _renew(self, used: InUse) -> None:
        """Read what has changed."""
        tried = self._tried

        def look() -> tuple[InUse | None, Mapping[Path, Stamp], str]:
            if all(stamp(path) == seen for path, seen in tried.items()):
                return None, tried, ""
            reading = _Reading(used.path)
            try:
                return reading.read(), reading.stamps, ""
            except Exception as error:  # noqa: BLE001 - said, and what was in use stays
                return None, reading.stamps, str(error) or type(error).__name__

        found, stamps, problem = await self._aside.do(look)
        late, self._late = self._late, False
        if self._used is not used:
            return  # a reload came between
        self._tried = stamps
        if found is not None:
            self.adopt(found)
        if problem or found is not None or late:
            self._told(problem)

    async def check(self, authorization: str, *, who: str) -> Login:
        """Return whether a request may pass, by what it shows."""
        if self._used is None or not self._used.config.basic_auth_users:
            return Login.RIGHT
        users = self._used.config.basic_auth_users
        return await self._passwords.check(users, authorization, who=who)

    def has_token(self) -> bool:
        """Return whether one more request may pass now, and count it."""
        return self._bucket is None or self._bucket.take()


def _asked_of_connections(used: InUse | None) -> object:
    """Return what those who are connected already would have been asked otherwise.

    A certificate of the agent that was renewed is no such thing.
    """
    if used is None:
        return None
    tls = used.config.tls_server_config
    authorities = tls.client_ca_file and used.stamps.get(used.path.parent / tls.client_ca_file)
    return tls, authorities
