"""The web configuration file: every option that the toolkit documents, and what is refused."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.web import CIPHERS, CURVES, HEADERS, NEWER_CIPHERS, ClientAuth, Version, WebConfig
from agent.config.web_file import load_web_config, read_web_config
from agent.model import ConfigError

HASH = "$2y$10$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyz01234"
PAIR = "cert_file: a.crt, key_file: a.key"


def _problems(text: str) -> list[str]:
    """Return what is said of a file that is refused."""
    with pytest.raises(ConfigError) as caught:
        read_web_config(text, "w.yml")
    return str(caught.value).splitlines()


def test_every_documented_option():
    """A file with each key of the toolkit's documentation is read as it is written."""
    found = read_web_config(
        f"""
tls_server_config:
  cert_file: server.crt
  key_file: /abs/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [prom.example.com, "::1"]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519]
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: default-src 'none'
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
    X-XSS-Protection: "0"
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  alice: {HASH}
rate_limit:
  interval: 250ms
  burst: 20
""",
        "w.yml",
    )
    tls = found.tls_server_config
    assert tls.enabled
    assert tls.files() == (Path("server.crt"), Path("/abs/server.key"), Path("ca.pem"))
    assert tls.client_auth_type is ClientAuth.VERIFY
    assert tls.client_allowed_sans == ("prom.example.com", "::1")
    assert (tls.min_version, tls.max_version) == (Version.TLS12, Version.TLS13)
    assert tls.cipher_suites == ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",)
    assert (tls.prefer_server_cipher_suites, tls.curve_preferences) == (False, ("X25519",))
    assert found.http_server_config.http2 is False
    assert set(found.http_server_config.headers) == set(HEADERS)
    assert found.basic_auth_users == {"alice": HASH}
    assert (found.rate_limit.interval, found.rate_limit.burst) == (0.25, 20)


def test_the_defaults_are_those_of_the_toolkit():
    """An empty file asks nothing; TLS is 1.2 to 1.3 and suites are the server's to prefer."""
    found = read_web_config("", "w.yml")
    assert found == WebConfig()
    tls = found.tls_server_config
    assert (tls.enabled, tls.min_version, tls.max_version) == (False, "TLS12", "TLS13")
    assert (tls.client_auth_type, tls.prefer_server_cipher_suites) == ("NoClientCert", True)


def test_certificates_may_stand_in_the_file():
    """`cert`, `key` and `client_ca` hold the PEM text itself."""
    pem = "|\n    -----BEGIN X-----\n    aa\n    -----END X-----"
    found = read_web_config(
        f"tls_server_config:\n  cert: {pem}\n  key: {pem}\n  client_ca: {pem}\n"
        "  client_auth_type: VerifyClientCertIfGiven\n",
        "w.yml",
    )
    assert found.tls_server_config.enabled
    assert found.tls_server_config.files() == ()


@pytest.mark.parametrize("name", [*CIPHERS, *NEWER_CIPHERS])
def test_every_suite_of_go(name: str):
    """Each suite that Go's `tls.CipherSuites` lists can be named."""
    text = f"tls_server_config: {{{PAIR}, cipher_suites: [{name}]}}"
    assert read_web_config(text, "w.yml").tls_server_config.cipher_suites == (name,)


@pytest.mark.parametrize("name", CURVES)
def test_every_curve_of_the_toolkit(name: str):
    """Each curve that the toolkit knows can be named."""
    text = f"tls_server_config: {{{PAIR}, curve_preferences: [{name}]}}"
    assert read_web_config(text, "w.yml").tls_server_config.curve_preferences == (name,)


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("cert_file: a.crt", "tls_server_config: expected a certificate and its key"),
        ("client_auth_type: NoClientCert, key_file: a", "expected a certificate and its key"),
        (f"{PAIR}, client_auth_type: RequestClientCert", "RequestClientCert is not offered"),
        (f"{PAIR}, client_auth_type: RequireAnyClientCert", "RequireAnyClientCert is not offered"),
        (f"{PAIR}, client_auth_type: RequireClientCert", "RequireClientCert is not offered"),
        (f"{PAIR}, client_auth_type: Sometimes", "expected one of NoClientCert"),
        (f"{PAIR}, client_ca_file: ca", "client_ca_file: expected client_auth_type with it"),
        (f"{PAIR}, client_allowed_sans: [a]", "client_allowed_sans: expected client_auth_type"),
        (
            f"{PAIR}, client_auth_type: VerifyClientCertIfGiven, client_allowed_sans: [a]",
            "client_allowed_sans: expected client_auth_type RequireAndVerifyClientCert",
        ),
        (f"{PAIR}, min_version: TLS10", "min_version: TLS10 and TLS11 are not offered"),
        (f"{PAIR}, min_version: TLS11", "min_version: TLS10 and TLS11 are not offered"),
        (f"{PAIR}, max_version: TLS11, min_version: TLS11", "max_version: TLS10 and TLS11"),
        (f"{PAIR}, min_version: TLS13, max_version: TLS12", "min_version: expected at most"),
        (f"{PAIR}, min_version: SSL30", "min_version: expected one of TLS10"),
        (f"{PAIR}, cipher_suites: [RC4]", "cipher_suites[0]: unknown suite 'RC4'"),
        (
            f"{PAIR}, max_version: TLS12, cipher_suites: [TLS_AES_128_GCM_SHA256]",
            "cipher_suites: expected a suite of TLS 1.2",
        ),
        (f"{PAIR}, curve_preferences: [Curve1]", "curve_preferences[0]: unknown curve 'Curve1'"),
        (
            f"{PAIR}, curve_preferences: [X25519, CurveP256]",
            "curve_preferences: expected one curve: Python's ssl takes no list of them",
        ),
        (f"{PAIR}, prefer_server_cipher_suites: 1", "expected true or false"),
        (f"{PAIR}, certfile: a", "certfile: unknown key; did you mean 'cert_file'?"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(inside: str, said: str):
    """No option is ignored: what Python's ssl does not have, or contradicts, is said."""
    problems = _problems(f"tls_server_config: {{{inside}}}")
    assert all(problem.startswith("w.yml:1: tls_server_config") for problem in problems)
    assert said in "\n".join(problems)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate_limit: {interval: 1s}", "rate_limit: expected a burst of at least 1"),
        ("rate_limit: {interval: 5, burst: 1}", "interval: expected a duration with a unit"),
        ("rate_limit: {interval: -1s, burst: 1}", "interval: expected a duration"),
        ("rate_limit: {burst: -1}", "burst: expected a whole number"),
        ("http_server_config: {http2: maybe}", "http2: expected true or false"),
        ("http_server_config: {headers: {Server: x}}", "headers.Server: cannot be set"),
        (
            "http_server_config: {headers: {X-Frame-Options: no-way}}",
            "X-Frame-Options: expected deny or sameorigin, found 'no-way'",
        ),
        ('http_server_config: {headers: {X-XSS-Protection: "a\\r\\nb: c"}}', "printable ASCII"),
        (f"basic_auth_users: {{'a:b': {HASH}}}", "expected a user name without ':'"),
        (f"basic_auth_users:\n  a: {HASH}\n  a: {HASH}", "w.yml:3: basic_auth_users.a: stands"),
        ("web: {}", "w.yml:1: web: unknown key"),
        ("tls_server_config: [", "is not YAML"),
    ],
)
def test_what_else_is_refused(text: str, said: str):
    """Each problem is said with its place."""
    assert said in "\n".join(_problems(text))


def test_interval_zero_is_no_limit():
    """The toolkit writes 0 for no rate limit, with or without a unit."""
    for text in ("0", "0s"):
        assert read_web_config(f"rate_limit: {{interval: {text}}}", "w").rate_limit.interval == 0.0


@pytest.mark.parametrize(
    "hashed",
    ["hunter2-S3cr3t", "$1$hunter2-S3cr3t$", HASH.replace("$10$", "$03$"), HASH + "A", HASH[:-1]],
)
def test_a_password_that_is_no_hash_is_not_echoed(hashed: str):
    """Whoever wrote the password itself is told what was expected, and the log keeps it secret."""
    (problem,) = _problems(f"basic_auth_users:\n  bob: {hashed}\n")
    assert problem.startswith("w.yml:2: basic_auth_users.bob: expected a bcrypt hash")
    assert hashed not in problem


def test_a_key_in_the_wrong_form_is_not_echoed():
    """Nor is what was written for a key."""
    (problem,) = _problems("tls_server_config: {cert_file: a, key: hunter2-S3cr3t}")
    assert "expected PEM text" in problem
    assert "hunter2" not in problem


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path):
    """A file that cannot be read is named, with the reason."""
    with pytest.raises(ConfigError, match=r"gone\.yml: cannot be read: No such file"):
        load_web_config(tmp_path / "gone.yml")
    (tmp_path / "binary.yml").write_bytes(b"a: 1\n\xff")
    with pytest.raises(ConfigError, match=r"binary\.yml:2: is not UTF-8 text"):
        load_web_config(tmp_path / "binary.yml")
    os.mkfifo(tmp_path / "pipe.yml")
    with pytest.raises(ConfigError, match=r"pipe\.yml: cannot be read: it is no regular file"):
        load_web_config(tmp_path / "pipe.yml")


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_read_or_refused(text: str):
    """Whatever stands in the file, the answer is a configuration or a list of problems."""
    try:
        found = read_web_config(text, "w.yml")
    except ConfigError as error:
        said = str(error).split("\nw.yml:")
    else:
        said = ["w.yml:"] * isinstance(found, WebConfig)
    assert said[0].startswith("w.yml:")
