"""What others wrote becomes one line that a terminal only shows."""

from hypothesis import given
from hypothesis import strategies as st

from agent.lines import one_line, uncoloured


@given(st.text())
def test_a_line_does_nothing_but_be_read(text: str):
    """No text moves a cursor or breaks a line; what is a line already stays as it is."""
    line = one_line(text)
    assert line.isprintable()
    assert line == line.strip()
    assert "  " not in line
    assert one_line(line) == line


def test_words_stay_apart():
    """What is left out leaves a blank, so that two words do not become one."""
    assert one_line("\na\r\nb\x00c  \x9b d\u2028e ") == "a b c d e"


def test_a_line_without_its_colours():
    """Colours go, as they are and in JSON; all else stays, letter by letter."""
    assert uncoloured(b"\x1b[1;31mERROR\x1b[0m: \x1b[2K\x9b \x1b") == b"ERROR: \x1b[2K\x9b \x1b"
    assert uncoloured(rb'{"log":"\u001b[31mERROR\u001B[m\u0019"}') == rb'{"log":"ERROR\u0019"}'


@given(st.binary())
def test_bytes_without_colours(line: bytes):
    """What has no escape stays as it is; no bytes raise."""
    assert uncoloured(line.replace(b"\x1b", b"").replace(b"\\", b"")) == line.replace(
        b"\x1b", b""
    ).replace(b"\\", b"")
    assert len(uncoloured(line)) <= len(line)
