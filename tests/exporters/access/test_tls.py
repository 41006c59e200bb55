"""TLS: what the options of the file do in a real handshake, and what is said of bad files."""

import os
import ssl
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from agent.config.web import CIPHERS, CURVES, ClientAuth, TlsServer, Version
from agent.model import ConfigError
from exporters.access.tls import allowed, server_context
from tests.fakes.certificates import LONG_AGO, write_authority, write_certificate


@pytest.fixture
def tls(tmp_path: Path) -> TlsServer:
    """Return what names a certificate and its key, by paths relative to their folder."""
    write_certificate(tmp_path, "server")
    return TlsServer(cert_file=Path("server.crt"), key_file=Path("server.key"))


class Met:
    """Both ends after a handshake in memory."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(to_server, to_client, server_side=True)
        self.client = client.wrap_bio(to_client, to_server, server_hostname="localhost")
        for _ in range(6):
            for end in (self.client, self.server):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue


def client_context(folder: Path) -> ssl.SSLContext:
    """Return how a client that trusts the authority connects."""
    return ssl.create_default_context(cafile=str(write_authority(folder)))


def test_a_connection(tmp_path: Path, tls: TlsServer):
    """A client that trusts the authority gets TLS 1.3, and HTTP/1.1 of what it offers."""
    client = client_context(tmp_path)
    client.set_alpn_protocols(["h2", "http/1.1"])
    met = Met(server_context(tls, tmp_path), client)
    assert met.client.version() == "TLSv1.3"
    assert met.client.selected_alpn_protocol() == "http/1.1"


def test_certificates_in_the_file(tmp_path: Path, tls: TlsServer):
    """What stands in the file itself serves as what lies beside it, and touches no disk."""
    inline = TlsServer(
        cert=(tmp_path / "server.crt").read_text(), key=(tmp_path / "server.key").read_text()
    )
    client = client_context(tmp_path)
    met = Met(server_context(inline, tmp_path), client)
    assert (
        met.client.getpeercert() == Met(server_context(tls, tmp_path), client).client.getpeercert()
    )


def test_versions(tmp_path: Path, tls: TlsServer):
    """`min_version` and `max_version` bound what is spoken."""
    twelve = client_context(tmp_path)
    twelve.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        Met(server_context(replace(tls, min_version=Version.TLS13), tmp_path), twelve)
    at_most = server_context(replace(tls, max_version=Version.TLS12), tmp_path)
    assert Met(at_most, client_context(tmp_path)).client.version() == "TLSv1.2"


@pytest.mark.parametrize("name", [name for name in CIPHERS if "ECDSA" in name])
def test_suites(tmp_path: Path, tls: TlsServer, name: str):
    """Of TLS 1.2 exactly the suites that are listed are spoken; OpenSSL knows each."""
    one = replace(tls, cipher_suites=(name,), max_version=Version.TLS12)
    client = client_context(tmp_path)
    client.set_ciphers("ALL")
    cipher = Met(server_context(one, tmp_path), client).client.cipher()
    assert cipher is not None
    assert cipher[0] == CIPHERS[name]


@pytest.mark.parametrize("name", CIPHERS)
def test_openssl_has_every_suite(tmp_path: Path, tls: TlsServer, name: str):
    """Each suite that can be named is one that OpenSSL has under the name in the table."""
    context = server_context(replace(tls, cipher_suites=(name,)), tmp_path)
    old = [one["name"] for one in context.get_ciphers() if one["protocol"] != "TLSv1.3"]
    assert old == [CIPHERS[name]]


def test_only_suites_of_the_newer_version(tmp_path: Path, tls: TlsServer):
    """Where only suites of TLS 1.3 are listed, nothing older is spoken, as in Go."""
    context = server_context(replace(tls, cipher_suites=("TLS_AES_256_GCM_SHA384",)), tmp_path)
    assert Met(context, client_context(tmp_path)).client.version() == "TLSv1.3"
    twelve = client_context(tmp_path)
    twelve.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        Met(context, twelve)


@pytest.mark.parametrize("prefers", [True, False])
def test_whose_order_counts(tmp_path: Path, tls: TlsServer, *, prefers: bool):
    """`prefer_server_cipher_suites` says whose order of suites decides."""
    first, second = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"
    names = tuple(name for server in (first, second) for name in CIPHERS if CIPHERS[name] == server)
    server = replace(
        tls,
        cipher_suites=names,
        max_version=Version.TLS12,
        prefer_server_cipher_suites=prefers,
    )
    client = client_context(tmp_path)
    client.set_ciphers(f"{second}:{first}")
    cipher = Met(server_context(server, tmp_path), client).client.cipher()
    assert cipher is not None
    assert cipher[0] == (first if prefers else second)


@pytest.mark.parametrize("name", CURVES)
def test_curves(tmp_path: Path, tls: TlsServer, name: str):
    """A client that speaks only the curve of the file is met, and one that speaks others not.

    One that this Python does not take, as that of Debian 12 does not take X25519, is refused.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve(CURVES[name])
    except ssl.SSLError:
        with pytest.raises(ConfigError, match=f"Python does not take {name} here"):
            server_context(replace(tls, curve_preferences=(name,)), tmp_path)
        return
    context = server_context(replace(tls, curve_preferences=(name,)), tmp_path)
    same, other = client_context(tmp_path), client_context(tmp_path)
    same.set_ecdh_curve(CURVES[name])
    other.set_ecdh_curve("secp384r1" if name != "CurveP384" else "secp521r1")
    Met(context, same)
    with pytest.raises(ssl.SSLError):
        Met(context, other)


def _with_certificate(
    folder: Path, *names: str, authority: str = "one", ends: datetime | None = None
) -> ssl.SSLContext:
    """Return a client that shows a certificate of its own."""
    client = client_context(folder)
    client.load_cert_chain(
        *write_certificate(folder, "client", *names, authority_name=authority, ends=ends)
    )
    return client


def test_certificates_of_clients_required(tmp_path: Path, tls: TlsServer):
    """RequireAndVerifyClientCert: only who shows one of the authority is met."""
    write_authority(tmp_path)
    strict = replace(tls, client_auth_type=ClientAuth.VERIFY, client_ca_file=Path("one.ca.pem"))
    server = server_context(strict, tmp_path)
    met = Met(server, _with_certificate(tmp_path, "prometheus"))
    assert met.server.getpeercert()
    for client in (
        client_context(tmp_path),
        _with_certificate(tmp_path, "prometheus", authority="two"),
        _with_certificate(tmp_path, "prometheus", ends=LONG_AGO),
    ):
        with pytest.raises(ssl.SSLError):
            Met(server, client)


def test_certificates_of_clients_if_given(tmp_path: Path, tls: TlsServer):
    """VerifyClientCertIfGiven: who shows none is met; a certificate of others is refused."""
    text = write_authority(tmp_path).read_text()
    lax = replace(tls, client_auth_type=ClientAuth.VERIFY_IF_GIVEN, client_ca=text)
    server = server_context(lax, tmp_path)
    assert not Met(server, client_context(tmp_path)).server.getpeercert()
    assert Met(server, _with_certificate(tmp_path, "prometheus")).server.getpeercert()
    with pytest.raises(ssl.SSLError):
        Met(server, _with_certificate(tmp_path, "prometheus", authority="two"))


def test_the_authorities_of_the_system(tmp_path: Path, tls: TlsServer):
    """Without `client_ca_file` those count that the system trusts, as in the toolkit."""
    server = server_context(replace(tls, client_auth_type=ClientAuth.VERIFY), tmp_path)
    with pytest.raises(ssl.SSLError):
        Met(server, _with_certificate(tmp_path, "prometheus"))


@pytest.mark.parametrize(
    ("names", "passes"),
    [
        ((), True),
        (("prom.example.com",), True),
        (("other", "me@example.com"), True),
        (("::1",), True),
        (("0:0:0:0:0:0:0:1",), True),
        (("10.0.0.7",), True),
        (("spiffe://x/y",), True),
        (("PROM.example.com",), False),
        (("example.com", "10.0.0.8"), False),
    ],
)
def test_names_of_clients(names: tuple[str, ...], *, passes: bool):
    """One name of the certificate must be one of those allowed, letter by letter."""
    certificate = {
        "subject": ((("commonName", "PROM.example.com"),),),
        "subjectAltName": (
            ("DNS", "prom.example.com"),
            ("email", "me@example.com"),
            ("IP Address", "0:0:0:0:0:0:0:1"),
            ("IP Address", "10.0.0.7"),
            ("URI", "spiffe://x/y"),
        ),
    }
    assert allowed(certificate, names) is passes


@pytest.mark.parametrize("certificate", [None, {}])
def test_names_of_nobody(certificate: dict[str, object] | None):
    """Without a certificate there is no name."""
    assert allowed(certificate, ())
    assert not allowed(certificate, ("a",))


def test_openssl_writes_addresses_as_the_test_above_has_them(tmp_path: Path, tls: TlsServer):
    """A real certificate with an IPv6 address passes by its short form."""
    write_authority(tmp_path)
    strict = replace(tls, client_auth_type=ClientAuth.VERIFY, client_ca_file=Path("one.ca.pem"))
    met = Met(server_context(strict, tmp_path), _with_certificate(tmp_path, "2001:db8::7", "a@b"))
    assert allowed(met.server.getpeercert(), ("2001:db8::7",))
    assert allowed(met.server.getpeercert(), ("a@b",))


def test_a_key_of_another_certificate(tmp_path: Path, tls: TlsServer):
    """A key that does not belong to the certificate is named with it."""
    write_certificate(tmp_path, "other")
    with pytest.raises(ConfigError, match=r"server\.crt: is no certificate to which .*other\.key"):
        server_context(replace(tls, key_file=Path("other.key")), tmp_path)


def test_files_that_are_not_what_they_should_be(tmp_path: Path, tls: TlsServer):
    """A missing file, a certificate in the place of a key, and no PEM at all are each said."""
    (tmp_path / "text").write_text("hello")
    for wrong, said in (
        (replace(tls, cert_file=Path("gone.crt")), "gone.crt: cannot be read: No such file"),
        (replace(tls, key_file=Path("gone.key")), "gone.key: cannot be read: No such file"),
        (replace(tls, key_file=Path("server.crt")), "server.crt: holds no private key"),
        (replace(tls, cert_file=Path("text")), "text: is no certificate"),
        (
            replace(tls, client_auth_type=ClientAuth.VERIFY, client_ca_file=Path("text")),
            "text: holds no certificates",
        ),
        (
            replace(tls, client_auth_type=ClientAuth.VERIFY, client_ca_file=Path("gone.ca")),
            "gone.ca: cannot be read",
        ),
    ):
        with pytest.raises(ConfigError, match=said):
            server_context(wrong, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_key_that_may_not_be_read(tmp_path: Path, tls: TlsServer):
    """A key of another user is said to be closed to the agent."""
    (tmp_path / "server.key").chmod(0)
    with pytest.raises(ConfigError, match=r"server\.key: cannot be read: Permission denied"):
        server_context(tls, tmp_path)


def test_an_encrypted_key_asks_nobody(tmp_path: Path, tls: TlsServer):
    """A key behind a passphrase is refused instead of asked for on a terminal."""
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key((tmp_path / "server.key").read_bytes(), password=None)
    (tmp_path / "server.key").write_bytes(
        key.private_bytes(
            form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"x")
        )
    )
    with pytest.raises(ConfigError, match=r"is no certificate to which .*server\.key is the key"):
        server_context(tls, tmp_path)
