"""From YAML to settings: every problem at once, with its place, and no secret among the words."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import EngineInstance, Listen, Secret, Settings, load_settings, read_settings
from agent.config.access import BasicAuth
from agent.config.reader import _converter
from agent.config.settings import PLACE, LogFormat, LogLevel
from agent.model import ConfigError

ENGINES = ("vllm", "llamacpp")
SECRET = "hunter2-S3cr3t"


def _read(text: str) -> Settings:
    """Return the settings of a file."""
    return read_settings(text, "f.yaml", engines=ENGINES)


def _problems(text: str) -> list[str]:
    """Return what is said of a file that is refused."""
    with pytest.raises(ConfigError) as caught:
        _read(text)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    "text",
    ["", "\n", "# only a comment\n", "---\n", "null\n", "{}\n", "\ufeff", "tick:\n", "tick: {}"],
)
def test_nothing_gives_the_defaults(text: str):
    """Every key is optional: a file that says nothing means the defaults."""
    assert _read(text) == Settings()


def test_the_example_is_the_defaults():
    """`config.example.yaml` holds every default as it is in the code."""
    path = Path(__file__).parents[3] / "config.example.yaml"
    assert load_settings(path, engines=ENGINES) == Settings()


def test_the_example_is_complete():
    """The example names every key that can be set, commented out where there is no default."""
    text = (Path(__file__).parents[3] / "config.example.yaml").read_text("utf-8")
    missing = [name for name in _names(Settings) if f"{name}:" not in text]
    assert missing == []


def _names(kind: type) -> list[str]:
    """Return the names of all keys below a class of the schema."""
    names: list[str] = []
    for item in dataclasses.fields(kind):
        if PLACE in item.metadata:  # nothing that can be set
            continue
        names.append(item.name)
        if dataclasses.is_dataclass(item.default_factory):
            names += _names(item.default_factory)
    return [*names, *(item.name for item in dataclasses.fields(EngineInstance))]


def test_a_whole_file():
    """Every kind of value arrives as what the code uses."""
    settings = _read(
        """
tick: {interval: 500ms, peak_window: 2m}
collectors:
  host: {enabled: false, folders: [/models]}
  dcgm: {url: "http://localhost:9400/"}
  engines:
    max_page_size: 4MiB
    instances:
      - name: big
        engine: vllm
        url: https://[::1]:8443
        basic_auth: {username: u, password: {file: /run/secret}}
        tls: {ca_file: /ca.pem, insecure_skip_verify: true}
      - {name: small, engine: llamacpp, url: "http://h:1", bearer_token: {credential: token}}
exporters: {http_api: {listen: ["127.0.0.1:1", "[::1]:1"]}}
logging: {level: debug, format: json}
"""
    )
    assert (settings.tick.interval, settings.tick.peak_window) == (0.5, 120.0)
    assert not settings.collectors.host.enabled
    assert settings.collectors.host.folders == (Path("/models"),)
    assert settings.collectors.dcgm.url == "http://localhost:9400"
    big, small = settings.collectors.engines.instances
    assert settings.collectors.engines.max_page_size == 4 * 2**20
    assert big.basic_auth == BasicAuth(username="u", password=Secret(file=Path("/run/secret")))
    assert (big.tls.ca_file, big.tls.insecure_skip_verify) == (Path("/ca.pem"), True)
    assert small.bearer_token == Secret(credential="token")
    assert settings.exporters.http_api.listen == (Listen("127.0.0.1", 1), Listen("::1", 1))
    assert (settings.logging.level, settings.logging.format) == (LogLevel.DEBUG, LogFormat.JSON)


def test_every_problem_at_once():
    """One run names all that is wrong, in the order of the file, rules between values included."""
    assert _problems(
        """tick:
  intervall: 1s
  peak_window: 0s
collectors:
  nvml: 5
  host: {enabled: yes please}
  kernel_log: {interval: 1m}
  engines:
    instances:
      - {name: a, engine: vllm}
loging: {}
"""
    ) == [
        "f.yaml:2: tick.intervall: unknown key; did you mean 'interval'?",
        "f.yaml:3: tick.peak_window: expected a duration between 1s and 3600s, found '0s'",
        "f.yaml:5: collectors.nvml: expected keys with values",
        "f.yaml:6: collectors.host.enabled: expected true or false, found 'yes please'",
        "f.yaml:7: collectors.kernel_log.stale_after: expected over 60s, its interval, found 10s",
        "f.yaml:10: collectors.engines.instances[0]: lacks the key 'url'",
        "f.yaml:11: loging: unknown key; did you mean 'logging'?",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tick: {zzz: 1}", "1: tick.zzz: unknown key; expected interval, peak_window"),
        ("tick: {interval: 1, interval: 2}", "1: tick.interval: stands here twice"),
        ("tick: {interval: true}", "expected a duration between 100ms and 60s, such as"),
        ("tick: {interval: .nan}", "expected a duration between 100ms and 60s, found '.nan'"),
        ("tick: {interval: .inf}", "expected a duration between 100ms and 60s, found '.inf'"),
        ("tick: {interval: 2026-01-01}", "such as 500ms, 10s or 1h30m, found '2026-01-01'"),
        ("tick: {interval: 2026-99-99}", "such as 500ms, 10s or 1h30m, found '2026-99-99'"),
        ("tick: {interval: " + "9" * 5000 + "}", "found '" + "9" * 60 + "…'"),
        ("tick: {interval: 0x" + "f" * 5000 + "}", "expected a duration between"),
        ("tick: {interval: }", "such as 500ms, 10s or 1h30m, found ''"),
        ("tick: {interval: [1]}", "tick.interval: expected a single value"),
        ("tick: {interval: !!timestamp x}", "expected a duration"),
        ("tick: {interval: !!bool x}", "expected a duration"),
        ("tick: {interval: !!int ''}", "expected a duration"),
        ("tick: {interval: !!python/object:os.system x}", "expected a duration"),
        (
            "collectors: {discovery: {forget_after: .inf}}",
            "a duration of at least 10s, found '.inf'",
        ),
        ("collectors: {host: {folders: /}}", "collectors.host.folders: expected a list"),
        ("collectors: {host: {folders: [x]}}", "folders[0]: expected an absolute path, found 'x'"),
        ("collectors: {host: {enabled: 1}}", "expected true or false, found '1'"),
        (
            "collectors: {engines: {max_page_size: 0x" + "f" * 400 + "}}",
            "expected a size of at least",
        ),
        ("logging: {level: loud}", "expected one of debug, info, warning, error, found 'loud'"),
        ("logging: {level: [info]}", "expected one of debug, info, warning, error"),
        ("? [a, b]\n: 1", "1: ?: unknown key"),
        ("[]", "1: expected keys with values"),
        ("text", "1: expected keys with values"),
        ("a: 1\n\tb: 2", "2: is not YAML: found character '\\t' that cannot start any token"),
        ("a: 1\nb: {", "2: is not YAML: expected the node content"),
        ("a: b: c", "1: is not YAML: mapping values are not allowed here"),
        ("{a: 1 b: 2}", "1: is not YAML: expected ',' or '}', but got ':'"),
        ("[a, b: {c]", "1: is not YAML: expected ',' or '}', but got ']'"),
        ("a: *gone", "1: is not YAML: found undefined alias '…'"),
        ("collectors: {interval: 1s}", "1: collectors.interval: unknown key; expected host, "),
        ("a: 1\n---\nb: 1", "2: is not YAML: but found another document"),
        ("a: 1\nb: \x00", "2: is not YAML: has a control character"),
        ('a: "\\UFFFFFFFF"', "1: is not YAML: has an impossible character code"),
        ("[" * 2000, "1: is nested too deeply"),
    ],
)
def test_what_is_said(text: str, problem: str):
    """Each kind of mistake is said in one line with its file, line and key."""
    (line,) = _problems(text)
    assert line.startswith("f.yaml:")
    assert problem in line


def test_text_that_yaml_takes_for_something_else():
    """A name of digits has to be between quotes, and the message says so."""
    instance = "collectors: {engines: {instances: [{name: %s, engine: vllm, url: 'http://h'}]}}"
    (line,) = _problems(instance % "8000")
    assert line.endswith("found '8000'; write it between quotes")
    assert _read(instance % "'8000'").collectors.engines.instances[0].name == "8000"


def test_a_list_without_items_is_not_given():
    """A list whose items are all commented out leaves the default."""
    assert (
        _read("collectors: {engines: {instances: }}\nexporters: {http_api: {listen: }}")
        == Settings()
    )
    assert _read("collectors: {dcgm: {url: null}}") == Settings()


def test_anchors():
    """YAML's anchors and aliases work; one that contains itself is refused, not followed."""
    settings = _read(
        "collectors:\n  host: &same {interval: 2s}\n  processes: *same\n"
        "  kernel_log: {interval: 3s, stale_after: &t 9s}\n  nvml: {stale_after: *t}\n"
    )
    assert settings.collectors.processes.interval == 2.0
    assert settings.collectors.nvml.stale_after == 9.0
    assert "expected an absolute path" not in _problems("collectors: {host: {folders: &a [*a]}}")[0]


INSTANCE = "collectors: {engines: {instances: [{name: a, engine: vllm, %s}]}}"


@pytest.mark.parametrize(
    "text",
    [
        INSTANCE % f"url: 'http://h', bearer_token: {SECRET}",
        INSTANCE % f"url: 'http://h', bearer_token: [{SECRET}]",
        INSTANCE % f"url: 'http://h', bearer_token: {{{SECRET}}}",
        INSTANCE % f"url: 'http://h', bearer_token: {{{SECRET}: x}}",
        INSTANCE % f"url: 'http://h', bearer_token: {{file: {SECRET}}}",
        INSTANCE % f"url: 'http://h', bearer_token: {{env: {SECRET}}}",
        INSTANCE % f"url: 'http://h', bearer_token: {{credential: '/{SECRET}'}}",
        INSTANCE % f"url: 'http://h', bearer_token: {{file: /a, env: {SECRET}}}",
        INSTANCE % f"url: 'http://h', bearer_token: {{file: [{SECRET}]}}",
        INSTANCE % f"url: 'http://h', bearer_tokn: {SECRET}",
        INSTANCE % f"url: 'http://h', bearer_token: *{SECRET}",
        INSTANCE % f"url: 'http://h', bearer_token: !{SECRET}!x y",
        INSTANCE % f"url: 'http://h', basic_auth: 'user:{SECRET}'",
        INSTANCE % f"url: 'http://h', basic_auth: {{username: u, password: {SECRET}}}",
        INSTANCE % f"url: 'http://h', basic_auth: {{user: u, pass: {SECRET}}}",
        INSTANCE % f"url: 'http://user:{SECRET}@h'",
        INSTANCE % f"url: 'http://user:p@{SECRET}@h'",
        INSTANCE % f"url: 'user:{SECRET}@h'",
        INSTANCE % f"url: 'http://h/?key={SECRET}'",
        INSTANCE % f"url: 'http://h/#{SECRET}'",
        f"collectors: {{engines: {{instances: ['http://user:{SECRET}@h']}}}}",
        f"collectors: {{engines: {{'http://user:{SECRET}@h': vllm}}}}",
        f"collectors: {{engines: 'http://user:{SECRET}@h'}}",
    ],
)
def test_no_secret_is_echoed(text: str):
    """Wherever a secret was pasted, the message helps without repeating it."""
    problems = _problems(text)
    assert problems
    assert SECRET not in "\n".join(problems)
    assert SECRET[:7] not in "\n".join(problems)


def test_a_misspelt_place_of_a_secret_is_named():
    """A near miss of file, env or credential is shown with the right word."""
    problems = _problems(INSTANCE % "url: 'http://h', bearer_token: {flie: /run/secret}")
    place = "f.yaml:1: collectors.engines.instances[0].bearer_token"
    assert problems == [f"{place}.flie: unknown key; did you mean 'file'?"]


def test_files_that_cannot_be_read(tmp_path: Path):
    """A file that is missing, a folder or not UTF-8 is refused with its name."""
    with pytest.raises(ConfigError, match="none: cannot be read: No such file or directory"):
        load_settings(tmp_path / "none", engines=ENGINES)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_settings(tmp_path, engines=ENGINES)
    file = tmp_path / "latin"
    file.write_bytes(b"# one\n# two\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin:3: is not UTF-8 text"):
        load_settings(file, engines=ENGINES)
    file.write_bytes("tick: {interval: 2s}".encode("utf-16"))
    with pytest.raises(ConfigError, match=r"latin:1: is not UTF-8 text"):
        load_settings(file, engines=ENGINES)


def test_a_schema_that_cannot_be_read():
    """A type that the reader does not know is an error of the schema, not of the user."""
    with pytest.raises(TypeError, match="a type without a reader"):
        _converter(int)


KEYS = st.sampled_from([*_names(Settings), "interval", "file", "env", "<<", "zzz", ""])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.text(max_size=8),
    st.sampled_from(["1s", "250ms", "/a", ":9745", "http://h:1", "vllm", "json", "16MiB"]),
)  # fmt: skip
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


def _either(text: str) -> None:
    """Have settings or a ConfigError with one line for each problem."""
    try:
        assert isinstance(_read(text), Settings)
    except ConfigError as error:
        lines = str(error).splitlines()
        assert lines
        assert all(line.startswith("f.yaml:") for line in lines)


@given(DOCUMENTS)
def test_any_document_gives_settings_or_problems(document: object):
    """Whatever well-formed YAML holds, the answer is settings or a list of problems."""
    yaml = pytest.importorskip("yaml")
    _either(yaml.safe_dump(document))


@given(
    st.one_of(
        st.text(),
        st.text(alphabet=" \n\t:-[]{}?&*!|>'\"%@`#,.<=~0123456789abcxuU\\"),
        st.lists(
            st.sampled_from(
                [
                    "tick", "collectors", "engines", "instances", "listen", "bearer_token",
                    ": ", "\n", "  ", "- ", "{", "}", "[", "]", ",", "&a ", "*a", "!!int ",
                    "!!timestamp ", "!!binary ", "!!set ", "<<: ", "0x_", "0b_", "1:30", ".nan",
                    "'", '"', "\\U", "|", ">", "---\n", "...\n", "%YAML 1.1\n", "x",
                ]
            )
        ).map("".join),
    )
)  # fmt: skip
def test_any_text_gives_settings_or_problems(text: str):
    """Any text at all gives settings or a ConfigError, never another exception."""
    _either(text)
