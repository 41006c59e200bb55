"""Single values: what they may be, and what is said when they are not."""

import datetime as dt
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.values import (
    AbsolutePath,
    Device,
    Duration,
    Listen,
    ListenAddress,
    Name,
    Share,
    Size,
    Text,
    Url,
    Value,
    is_loopback,
    names_this_host,
)

HUGE = 10**400
ODD = [None, True, False, nan, inf, -inf, HUGE, -HUGE, dt.date(2026, 1, 1), b"bytes", [], {}]


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [(1, 1.0), (0.25, 0.25), ("250ms", 0.25), ("1s", 1.0), ("1h30m", 5400.0), ("7d", 604800.0)],
)
def test_durations(raw: object, seconds: float):
    """A duration is a number of seconds or numbers with units, one after the other."""
    assert Duration().convert(raw) == pytest.approx(seconds)


@pytest.mark.parametrize(("raw", "share"), [(0.8, 0.8), ("80%", 0.8), ("12.5%", 0.125), (1, 1.0)])
def test_shares(raw: object, share: float):
    """A share is a number or has a per cent sign."""
    assert Share().convert(raw) == pytest.approx(share)


@pytest.mark.parametrize("raw", ["", "%", "80", "nan%", "101%", -0.1, 1.1, "80 %x", *ODD])
def test_no_shares(raw: object):
    """Anything else is refused, and it is said what would do."""
    with pytest.raises(ValueError, match=r"^a share from 0 to 1, such as 0.8 or 80%"):
        Share().convert(raw)


@pytest.mark.parametrize("raw", ["", "1", "s", "1 s", "-1s", "1s ", "1x", "1e3s", "\u0661s", *ODD])
def test_no_durations(raw: object):
    """Whatever is no finite duration is refused with what was expected."""
    with pytest.raises(ValueError, match="a duration of at least 0s"):
        Duration().convert(raw)


def test_bounds_of_a_duration():
    """The bounds belong to it and are said in the units of the file."""
    duration = Duration(0.1, 60.0)
    assert (duration.convert("100ms"), duration.convert(60)) == (0.1, 60.0)
    for raw in ("99ms", 61, -1, HUGE):
        with pytest.raises(ValueError, match=r"between 100ms and 60s$"):
            duration.convert(raw)


@pytest.mark.parametrize(
    ("raw", "size"),
    [(1024, 1024), ("2048", 2048), ("16MiB", 2**24), ("1.5 KiB", 1536), ("2GB", 2 * 10**9)],
)
def test_sizes(raw: object, size: int):
    """A size is a number of bytes or a number with a unit, decimal or binary."""
    assert Size(1024).convert(raw) == size


@pytest.mark.parametrize("raw", ["", "1k", "-1", "1023", 1023, "1 000 KiB", "9" * 5000, *ODD])
def test_no_sizes(raw: object):
    """Whatever is no size, or too small a one, is refused."""
    with pytest.raises(ValueError, match="a size of at least 1024 bytes"):
        Size(1024).convert(raw)


@pytest.mark.parametrize("raw", ["a", "vllm-0", "a.b_c", "8b", "x" * 63])
def test_names(raw: str):
    """A name is short and made of what files, addresses and labels can carry."""
    assert Name().convert(raw) == raw


@pytest.mark.parametrize("raw", ["", "-a", ".a", "a/b", "a b", "ä", "x" * 64, "a\n", 1, *ODD])
def test_no_names(raw: object):
    """Anything else is no name."""
    with pytest.raises(ValueError, match="a name of letters"):
        Name().convert(raw)


@pytest.mark.parametrize("raw", ["0", "15", "GPU-8a2c-01", "MIG-11-22", "MIG-GPU-8a2c/1/0"])
def test_devices(raw: str):
    """A GPU is called by its index or its identifier."""
    assert Device().convert(raw) == raw


@pytest.mark.parametrize("number", [0, 7])
def test_device_that_yaml_takes_for_a_number(number: int):
    """An index needs no quotes."""
    assert Device().convert(number) == str(number)


@pytest.mark.parametrize(
    "raw", ["", "01", "-1", -1, "cuda:0", "GPU-", "GPU-a b", "gpu-8a2c", True, 10**9, "0\n", *ODD]
)
def test_no_devices(raw: object):
    """Anything else is no GPU."""
    with pytest.raises(ValueError, match=r"^an index such as 0"):
        Device().convert(raw)


def test_texts():
    """A text is anything but nothing."""
    assert Text().convert(" ") == " "
    for raw in ("", 1, None):
        with pytest.raises(ValueError, match="not empty"):
            Text().convert(raw)


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://[::1]:8443/base/", "https://[::1]:8443/base"),
        ("http://host/", "http://host"),
        ("http://h\u00f6st.example", "http://h\u00f6st.example"),
    ],
)
def test_urls(raw: str, url: str):
    """An address loses the slash at its end and nothing else."""
    assert Url().convert(raw) == url


@pytest.mark.parametrize(
    "raw",
    [
        "", "host:8000", "ftp://host", "http://", "http://:80", "http://host:0", "http://host:66000",
        "http://[::1", "http://a b", "http://host\n", "http://host?x", "http://host#x",
        "http://user@host", "http://user:pass@host", *ODD,
    ],
)  # fmt: skip
def test_no_urls(raw: object):
    """Other schemes, users, queries, fragments and impossible ports are refused."""
    with pytest.raises(ValueError, match=r"^an address"):
        Url().convert(raw)


def test_absolute_paths():
    """A path begins with a slash and can be one."""
    assert AbsolutePath().convert("/a/b") == Path("/a/b")
    for raw in ("a", "~/a", "", "/a\0b", *ODD):
        with pytest.raises(ValueError, match="an absolute path"):
            AbsolutePath().convert(raw)


@pytest.mark.parametrize(
    ("raw", "listen"),
    [
        (":9745", Listen("", 9745)),
        ("127.0.0.1:1", Listen("127.0.0.1", 1)),
        ("[::1]:65535", Listen("::1", 65535)),
        ("[fe80::1%eth0]:80", Listen("fe80::1%eth0", 80)),
        ("localhost:80", Listen("localhost", 80)),
    ],
)
def test_listen_addresses(raw: str, listen: Listen):
    """An address to listen on is written as it is read."""
    assert ListenAddress().convert(raw) == listen
    assert str(listen) == raw


@pytest.mark.parametrize(
    "raw",
    [
        "", "9745", ":0", ":65536", "::1:80", "a b:80", ":" + "9" * 5000, "[x]:80", 9745,
        "999.1.1.1:80", "1.2.3:80", "127.1:80", "0.0.0.0.:80", "1:80", ".:80", "a..b:80",
        "-a:80", "a/b:80", "a" * 64 + ":80", "a.b" * 99 + ":80", *ODD,
    ],
)  # fmt: skip
def test_no_listen_addresses(raw: object):
    """Anything else is refused with examples of what would do."""
    with pytest.raises(ValueError, match=r"^an address such as :9745"):
        ListenAddress().convert(raw)


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        (":9745", "http://localhost:9745"),
        ("0.0.0.0:9745", "http://localhost:9745"),
        ("[::]:9745", "http://localhost:9745"),
        ("127.0.0.2:80", "http://127.0.0.2:80"),
        ("[::1]:80", "http://[::1]:80"),
        ("gpu-host.example:80", "http://gpu-host.example:80"),
    ],
)
def test_the_url_of_an_address_to_listen_on(raw: str, url: str):
    """People are told an address that opens where the agent listens."""
    assert ListenAddress().convert(raw).url == url


VALUES: list[Value] = [
    Duration(0.1, 60.0), Duration(), Size(), Name(), Text(), Url(), AbsolutePath(), ListenAddress(),
]  # fmt: skip
ANYTHING = st.one_of(
    st.text(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.dates(),
    st.binary(max_size=3),
    st.from_regex(r"(http|https)://[^/]*(/.*)?"),
    st.from_regex(r"[0-9.]{1,20}(ms|s|KiB|GB)"),
    st.from_regex(r"(\[.*\])?[a-z]*:[0-9]*"),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@given(raw=ANYTHING)
def test_nothing_else_is_raised(value: Value, raw: object):
    """Any scalar that YAML can give is converted or refused with words, never with a surprise."""
    said = "a value that is good"
    try:
        value.convert(raw)
    except ValueError as error:
        said = str(error)
    assert said.startswith(("a ", "an "))


@pytest.mark.parametrize(
    ("remote", "here"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("::ffff:127.0.0.1", True),
        ("::1%lo", True), ("192.0.2.1", False), ("::ffff:192.0.2.1", False), ("fe80::1%e", False),
        ("", False), (None, False), ("localhost", False),
    ],
)  # fmt: skip
def test_loopback(remote: str | None, *, here: bool):
    """Only an address of the loopback interface counts as this host, in every notation."""
    assert is_loopback(remote) is here


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("example.org", False),
        (None, False),
    ],
)
def test_names_this_host(host: str | None, *, here: bool):
    """A name that is not `localhost` may be any host's."""
    assert names_this_host(host) is here
