"""The web configuration file of Prometheus's exporter-toolkit: TLS, users, headers, a rate.

Its keys are those that the toolkit documents (docs/web-configuration.md of
prometheus/exporter-toolkit), so that one file serves every exporter of a host. What Python's `ssl`
cannot do is refused by its name rather than ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from agent.config.values import Count, Duration, Text

HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""Headers that can be set, and what each may be; nothing for any text."""

CIPHERS: Final[Mapping[str, str]] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""Suites of TLS 1.2 that Go offers, by the names of the RFCs, and OpenSSL's names of them."""

NEWER_CIPHERS: Final = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
"""Those of TLS 1.3; that version has all of them, whatever is listed, here as in Go."""

CURVES: Final[Mapping[str, str]] = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
"""Curves by the names of Go, and OpenSSL's names of them."""


class ClientAuth(StrEnum):
    """What is asked of clients; the names are those of Go's `crypto/tls`."""

    NONE = "NoClientCert"
    REQUEST = "RequestClientCert"
    REQUIRE_ANY = "RequireAnyClientCert"
    # The toolkit's older name of the one before.
    REQUIRE = "RequireClientCert"
    VERIFY_IF_GIVEN = "VerifyClientCertIfGiven"
    VERIFY = "RequireAndVerifyClientCert"


class Version(StrEnum):
    """A version of TLS."""

    TLS10 = "TLS10"
    TLS11 = "TLS11"
    TLS12 = "TLS12"
    TLS13 = "TLS13"


@dataclass(frozen=True)
class BcryptHash:
    """A password as bcrypt hashed it."""

    secret = True

    def convert(self, raw: object) -> str:
        """Return the hash."""
        form = r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}"
        if not isinstance(raw, str) or not re.fullmatch(form, raw):
            raise ValueError(
                "a bcrypt hash, such as `htpasswd -nBC 10 \"\" | tr -d ':\\n'` writes one"
            )
        return raw


@dataclass(frozen=True)
class Pem:
    """A certificate or a key, written into the file."""

    secret = True

    def convert(self, raw: object) -> str:
        """Return the text."""
        if not isinstance(raw, str) or "-----BEGIN " not in raw:
            raise ValueError("PEM text, which begins with -----BEGIN")
        return raw


@dataclass(frozen=True)
class FilePath:
    """A path, absolute or from the folder of the file that names it."""

    def convert(self, raw: object) -> Path:
        """Return the path; it need not exist."""
        if not isinstance(raw, str) or not raw or "\0" in raw:
            raise ValueError("a path")
        return Path(raw)


@dataclass(frozen=True)
class UserName:
    """Who may ask; HTTP can send no colon in it."""

    def convert(self, raw: object) -> str:
        """Return the name."""
        if not isinstance(raw, str) or not raw or ":" in raw or not raw.isprintable():
            raise ValueError("a user name without ':'")
        return raw


@dataclass(frozen=True)
class GoInterval:
    """A time with a unit, or 0: the toolkit takes other numbers for nanoseconds."""

    def convert(self, raw: object) -> float:
        """Return seconds."""
        if raw != 0 and not isinstance(raw, str):
            raise ValueError("a duration with a unit, such as 500ms or 1s, or 0")
        return Duration().convert(raw)


PemText = Annotated[str, Pem()]
Place = Annotated[Path, FilePath()]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsServer:
    """How the agent shows who it is, and what it asks of those who come."""

    cert: PemText | None = None
    key: PemText | None = None
    client_ca: PemText | None = None
    cert_file: Place | None = None
    key_file: Place | None = None
    client_auth_type: ClientAuth = ClientAuth.NONE
    client_ca_file: Place | None = None
    client_allowed_sans: tuple[Annotated[str, Text()], ...] = ()
    min_version: Version = Version.TLS12
    max_version: Version = Version.TLS13
    cipher_suites: tuple[Annotated[str, Text()], ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[Annotated[str, Text()], ...] = ()

    @property
    def enabled(self) -> bool:
        """Whether there is TLS at all."""
        return self.cert is not None or self.cert_file is not None

    @property
    def only_newer_ciphers(self) -> bool:
        """Whether the suites that are listed leave TLS 1.3 alone."""
        return bool(self.cipher_suites) and NEWER_CIPHERS.issuperset(self.cipher_suites)

    def files(self) -> tuple[Path, ...]:
        """Return the files that it names."""
        named = (self.cert_file, self.key_file, self.client_ca_file)
        return tuple(path for path in named if path is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServer:
    """How answers are sent. `http2`: may be wanted; HTTP/1.1 is what all get."""

    http2: bool | None = None
    headers: Mapping[Annotated[str, Text()], Annotated[str, Text()]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """A token bucket: one request each `interval`, 0 for any number; `burst` of them at once."""

    interval: Annotated[float, GoInterval()] = 0.0
    burst: Annotated[int, Count(0)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """The whole file."""

    tls_server_config: TlsServer = field(default_factory=TlsServer)
    http_server_config: HttpServer = field(default_factory=HttpServer)
    basic_auth_users: Mapping[Annotated[str, UserName()], Annotated[str, BcryptHash()]] = field(
        default_factory=dict
    )
    rate_limit: RateLimit = field(default_factory=RateLimit)
