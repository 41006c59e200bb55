"""From a web configuration to what `ssl` needs, and what a client's certificate must say."""

import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from agent.config.web import CIPHERS, CURVES, ClientAuth, TlsServer, Version
from agent.files import read_regular
from agent.model import ConfigError

# A bundle of certificate authorities has some 250 KB.
_LONGEST: Final = 4 * 2**20
_VERSIONS: Final = {Version.TLS12: ssl.TLSVersion.TLSv1_2, Version.TLS13: ssl.TLSVersion.TLSv1_3}
_NAMES: Final = frozenset({"DNS", "IP Address", "email", "URI"})


def server_context(tls: TlsServer, folder: Path) -> ssl.SSLContext:
    """Return how connections are encrypted, and what clients are asked for.

    Args:
        tls: what the file says; its own contradictions have been refused.
        folder: of the file, from which relative paths count.

    Raises:
        ConfigError: a file cannot be read, is not what it should be, or the key is another's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.maximum_version = _VERSIONS[tls.max_version]
    if tls.only_newer_ciphers:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    elif tls.cipher_suites:
        named = [CIPHERS[name] for name in tls.cipher_suites if name in CIPHERS]
        with _said("tls_server_config.cipher_suites: OpenSSL has none of them here"):
            context.set_ciphers(":".join(["@SECLEVEL=2", *named]))
    for name in tls.curve_preferences:
        with _said(f"tls_server_config.curve_preferences: Python does not take {name} here"):
            context.set_ecdh_curve(CURVES[name])
    if tls.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _show(context, tls, folder)
    _ask(context, tls, folder)
    return context


def _show(context: ssl.SSLContext, tls: TlsServer, folder: Path) -> None:
    """Load the certificate of the agent and its key."""
    cert, cert_place = _pem(tls.cert, tls.cert_file, folder, "cert")
    key, key_place = _pem(tls.key, tls.key_file, folder, "key")
    if b"PRIVATE KEY-----" not in key:
        raise ConfigError(f"{key_place}: holds no private key in PEM")
    # One that is encrypted would otherwise be asked for on a terminal.
    with (
        _said(f"{cert_place}: is no certificate to which {key_place} is the key"),
        _in_memory(cert) as cert_file,
        _in_memory(key) as key_file,
    ):
        context.load_cert_chain(cert_file, key_file, password=lambda: "")


def _ask(context: ssl.SSLContext, tls: TlsServer, folder: Path) -> None:
    """Have certificates of clients verified where they are wanted."""
    if tls.client_auth_type is ClientAuth.NONE:
        return
    required = tls.client_auth_type is ClientAuth.VERIFY
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    if tls.client_ca is None and tls.client_ca_file is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)  # those of the system, as Go does
        return
    authorities, place = _pem(tls.client_ca, tls.client_ca_file, folder, "client_ca")
    with _said(f"{place}: holds no certificates in PEM"):
        context.load_verify_locations(cadata=authorities.decode("ascii", "replace"))


def _pem(text: str | None, path: Path | None, folder: Path, key: str) -> tuple[bytes, str]:
    """Return a certificate or key, and where it stands."""
    if text is not None:
        return text.encode(), f"tls_server_config.{key}"
    place = folder / str(path)
    try:
        return read_regular(place, longest=_LONGEST), str(place)
    except OSError as error:
        raise ConfigError(f"{place}: cannot be read: {error.strerror or error}") from error


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Yield the name of a file that holds this and lies on no disk: `ssl` takes files alone."""
    fd = os.memfd_create("pem")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Raise what `ssl` finds as a ConfigError, with its reason."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise ConfigError(f"{what} ({reason})") from error


def allowed(certificate: Mapping[str, Any] | None, names: Sequence[str]) -> bool:
    """Return whether a client's certificate has one of the names that are allowed.

    Args:
        certificate: as `getpeercert` gives it.
        names: DNS names, IP addresses, e-mail addresses and URIs, compared letter by letter;
            without any, every certificate will do.
    """
    if not names:
        return True
    found = (certificate or {}).get("subjectAltName", ())
    shown = {_plain(value) for kind, value in found if kind in _NAMES}
    return not shown.isdisjoint(map(_plain, names))


def _plain(name: str) -> str:
    """Return a name, of an IP address its shortest form: OpenSSL writes another than people."""
    try:
        return str(ip_address(name))
    except ValueError:
        return name
