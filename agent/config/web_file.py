"""The web configuration file, read: what is wrong with it is said with its line."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from agent.config.reader import decoded, read_schema
from agent.config.web import (
    CIPHERS,
    CURVES,
    HEADERS,
    NEWER_CIPHERS,
    ClientAuth,
    TlsServer,
    Version,
    WebConfig,
)
from agent.files import read_regular
from agent.model import ConfigError

_LONGEST: Final = 2**20
_TLS: Final = "tls_server_config"


def read_web_config(text: str, file: str) -> WebConfig:
    """Return what a web configuration holds.

    Args:
        text: the document; an empty one asks nothing of anybody.
        file: its name, for the messages.

    Raises:
        ConfigError: one line for each problem: file, line, key, what was expected.
    """
    return read_schema(text, file, WebConfig, checks=_checks)


def load_web_config(path: Path) -> WebConfig:
    """Return what the file at a path holds; errors as of `read_web_config`."""
    try:
        content = read_regular(path, longest=_LONGEST)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    return read_web_config(decoded(content, path), str(path))


def _checks(config: WebConfig, refused: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield what no single value can say."""
    yield from _tls(config.tls_server_config, refused)
    yield from _suites(config.tls_server_config)
    yield from _clients(config.tls_server_config)
    yield from _headers(config.http_server_config.headers)
    limit = config.rate_limit
    if limit.interval and not limit.burst:
        yield "rate_limit", "expected a burst of at least 1: without, every request is refused"


def _tls(tls: TlsServer, refused: Collection[str]) -> Iterator[tuple[str, str]]:
    """Certificates come with keys, and versions, suites and curves are those that there are."""
    for name in ("cert", "key", "client_ca"):
        if getattr(tls, name) and getattr(tls, f"{name}_file"):
            yield f"{_TLS}.{name}", f"expected either {name} or {name}_file, found both"
    asked = tls != TlsServer()
    has_cert, has_key = tls.enabled, bool(tls.key or tls.key_file)
    if asked and not (has_cert and has_key) and not any(key.startswith(_TLS) for key in refused):
        yield _TLS, "expected a certificate and its key: cert_file and key_file"
    for name in ("min_version", "max_version"):
        if getattr(tls, name) in (Version.TLS10, Version.TLS11):
            yield f"{_TLS}.{name}", "TLS10 and TLS11 are not offered: OpenSSL refuses them"
    if tls.min_version > tls.max_version:
        yield f"{_TLS}.min_version", "expected at most max_version"


def _suites(tls: TlsServer) -> Iterator[tuple[str, str]]:
    """Suites and curves are those that Go and OpenSSL both know."""
    known = sorted({*CIPHERS, *NEWER_CIPHERS})
    for index, name in enumerate(tls.cipher_suites):
        if name not in known:
            message = f"unknown suite {name!r}; expected one of {', '.join(known)}"
            yield f"{_TLS}.cipher_suites[{index}]", message
    if tls.max_version is Version.TLS12 and tls.only_newer_ciphers:
        yield f"{_TLS}.cipher_suites", "expected a suite of TLS 1.2, as max_version is TLS12"
    for index, name in enumerate(tls.curve_preferences):
        if name not in CURVES:
            message = f"unknown curve {name!r}; expected one of {', '.join(CURVES)}"
            yield f"{_TLS}.curve_preferences[{index}]", message
    if len(tls.curve_preferences) > 1:
        yield f"{_TLS}.curve_preferences", "expected one curve: Python's ssl takes no list of them"


def _clients(tls: TlsServer) -> Iterator[tuple[str, str]]:
    """What is asked of clients can be asked, and is looked at."""
    how = tls.client_auth_type
    if how in (ClientAuth.REQUEST, ClientAuth.REQUIRE_ANY, ClientAuth.REQUIRE):
        message = (
            f"{how} is not offered: Python's ssl asks for no certificate that it does not verify; "
            f"expected {ClientAuth.VERIFY}, {ClientAuth.VERIFY_IF_GIVEN} or {ClientAuth.NONE}"
        )
        yield f"{_TLS}.client_auth_type", message
    if (tls.client_ca or tls.client_ca_file) and how is ClientAuth.NONE:
        name = "client_ca" if tls.client_ca else "client_ca_file"
        yield f"{_TLS}.{name}", f"expected client_auth_type with it, such as {ClientAuth.VERIFY}"
    if tls.client_allowed_sans and how in (ClientAuth.NONE, ClientAuth.VERIFY_IF_GIVEN):
        message = f"expected client_auth_type {ClientAuth.VERIFY} with it: others need show none"
        yield f"{_TLS}.client_allowed_sans", message


def _headers(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Only those headers can be set that the toolkit knows, in the words that they have."""
    for name, value in headers.items():
        key = f"http_server_config.headers.{name}"
        if name not in HEADERS:
            yield key, f"cannot be set; expected one of {', '.join(HEADERS)}"
        elif HEADERS[name] and value not in HEADERS[name]:
            yield key, f"expected {' or '.join(HEADERS[name])}, found {value!r}"
        elif not value.isprintable() or not value.isascii():
            yield key, "expected printable ASCII characters only"
