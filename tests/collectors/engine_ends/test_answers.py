"""Lines of access logs: which are answers to callers, and with which status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.lines import uncoloured
from collectors.engine_ends.answers import STATUSES, AnswersWatch

GET = b'INFO:     127.0.0.1:55866 - "GET /metrics HTTP/1.1" 200 OK'
POST = 'INFO:     127.0.0.1:43210 - "POST /v1/chat/completions HTTP/1.1" 401 Unauthorized'


def counted(*lines: bytes | str, engine: str = "vllm") -> dict[str, int]:
    """Return what lines add to the counts, those of nothing left out."""
    watch = AnswersWatch(engine)
    watch.take(GET)
    for line in lines:
        watch.take(uncoloured(line if isinstance(line, bytes) else line.encode()))
    list(watch.counts())
    return {status: count for status, count in watch.counts() if count}


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (POST, "401"),
        (f"(APIServer pid=16954) {POST}\r", "401"),
        (f"2026-11-22T03:00:00.123456789Z stdout F {POST}", "401"),
        ('INFO:      - "POST /v1/completions HTTP/1.1" 400 Bad Request', "400"),
        ('INFO:     [::1]:5 - "POST /v1/completions?a=%22b HTTP/1.1" 403 Forbidden', "403"),
        ('INFO:     1.2.3.4:5 - "POST /v1/completions HTTP/1.1" 404 Not Found', "404"),
        ('INFO:     1.2.3.4:5 - "POST /v1/completions HTTP/1.1" 429 Too Many Requests', "429"),
        ('INFO:     1.2.3.4:5 - "POST /v1/completions HTTP/1.1" 418 I\'m a Teapot', "4xx"),
        ('INFO:     1.2.3.4:5 - "POST /v1/completions HTTP/1.1" 499 ', "4xx"),
        ('INFO:     1.2.3.4:5 - "POST /v1/completions HTTP/2" 200 OK', "2xx"),
        ('INFO:     1.2.3.4:5 - "POST /v1/completions HTTP/1.1" 500 Internal Server Error', "5xx"),
        (
            (
                "\x1b[32mINFO\x1b[0m:     127.0.0.1:5 - "
                '"\x1b[1mPOST /v1/completions HTTP/1.1\x1b[0m" \x1b[31m401 Unauthorized\x1b[0m'
            ),
            "401",
        ),
        (
            (
                r'{"log":"\u001b[32mINFO\u001b[0m:     127.0.0.1:5 - '
                r"\"\u001b[1mPOST /v1/completions HTTP/1.1\u001b[0m\" "
                r'\u001b[31m401 Unauthorized\u001b[0m\r\n","stream":"stdout"}'
            ),
            "401",
        ),
        (r'{"message": "1.2.3.4:5 - \"POST /v1/completions HTTP/1.1\" 401", "n": 1}', "401"),
    ],
)
def test_an_answer_of_vllm(line: str, status: str):
    """Each form in which its access log comes is one answer, by its code or class."""
    assert counted(line) == {status: 1}


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("srv  log_server_r: request: POST /v1/completions 127.0.0.1 401", "401"),
        ("0.07.08 I srv  log_server_r: done request: POST /completion ::1 200", "2xx"),
    ],
)
def test_an_answer_of_llama_cpp(line: str, status: str):
    """Both forms of the releases that wrote an access log."""
    assert counted(line, engine="llamacpp") == {status: 1}


@pytest.mark.parametrize(
    "line",
    [
        GET,
        b'INFO:     1.2.3.4:5 - "GET /v1/models HTTP/1.1" 401 Unauthorized',
        b'INFO:     1.2.3.4:5 - "OPTIONS /v1/completions HTTP/1.1" 400 Bad Request',
        b'INFO:     1.2.3.4:5 - "POST /v1/completions HTTP/1.1" 307 Temporary Redirect',
        b'INFO:     1.2.3.4:5 - "POST /v1/completions HTTP/1.1" 4010',
        b'INFO:     1.2.3.4:5 - "POST /v1/completions HTTP/1.1" 40',
        b'INFO:     1.2.3.4:5 - "WebSocket /v1/realtime" 403',
        b"prompt: 'what is - \"POST /v1/x HTTP/1.1\" 401 Unauthorized?', params: 1",
        b"0.00.004.599 W srv  operator(): unauthorized: Invalid API Key",
        b"RuntimeError: 401",
        b"",
    ],
)
def test_what_is_no_answer_to_a_caller(line: bytes):
    """What monitors ask, redirects, halves and words of prompts are not counted."""
    assert counted(line) == {}


def test_nothing_is_said_of_a_log_without_answers():
    """Until a line names an answer, nothing is known; then every status begins at 0."""
    watch = AnswersWatch("vllm")
    assert not watch.take(b"INFO 11-21 07:15:37 [loggers.py:1] Engine 000: Avg prompt throughput")
    assert list(watch.counts()) == []
    assert watch.take(POST.encode())
    assert dict(watch.counts()) == dict.fromkeys(STATUSES, 0)
    assert dict(watch.counts())["401"] == 1


def test_a_restarted_engine_may_log_no_answers():
    """After a restart nothing is said before its log names an answer again; counts go on."""
    watch = AnswersWatch("vllm")
    watch.take(POST.encode())
    list(watch.counts())
    watch.restart()
    assert list(watch.counts()) == []
    assert watch.take(GET)
    assert dict(watch.counts())["401"] == 1


def test_an_engine_that_is_not_known():
    """Of an engine whose log nobody has described, no line is understood."""
    assert counted(POST, engine="other") == {}


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_bytes_around_an_answer(before: bytes, after: bytes):
    """No bytes raise or make an answer of one line two; those before it do not hide it."""
    assert sum(counted(before + POST.encode() + after).values()) <= 1
    assert sum(counted(before).values()) <= 1
    assert sum(counted(before.replace(b"\x1b", b"") + b" " + POST.encode()).values()) == 1


@given(
    st.integers(200, 599),
    st.text("abc/?&=%.0123456789-_", max_size=60),
    st.lists(st.sampled_from([b"\x1b[0m", b"\x1b[1;31m", b""]), min_size=4, max_size=4),
)
def test_every_code(code: int, path: str, colours: list[bytes]):
    """Each code counts once under its own name or its class, whatever path and colours."""
    one, two, three, four = colours
    line = b'INFO:     1.2.3.4:5 - "%bPOST /%b HTTP/1.1%b" %b%d Reason%b' % (
        (one, path.encode(), two, three, code, four)
    )
    expected = {str(code), f"{code // 100}xx"} & set(STATUSES)
    wanted = str(code) if str(code) in expected else f"{code // 100}xx"
    assert counted(line) == ({wanted: 1} if expected else {})


@pytest.mark.parametrize(
    "line",
    [
        b' - "POST ' * 2000,
        b' - "POST ' + b"x" * 16_000,
        b' - "POST /' + b"x" * 8000 + b" HTTP/1.1" * 900,
        b"log_server_r: request: POST / 1 " * 500,
    ],
)
@pytest.mark.parametrize("engine", ["vllm", "llamacpp"])
def test_long_lines_that_promise_an_answer(line: bytes, engine: str):
    """As long a line as is read says nothing however often it begins to."""
    assert counted(line, engine=engine) == {}
