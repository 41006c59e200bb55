"""What others wrote becomes one line that a terminal only shows."""

from hypothesis import given
from hypothesis import strategies as st

from agent.lines import one_line


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
