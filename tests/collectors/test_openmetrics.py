"""The page scanner reads what the official parser reads, whatever came before."""

import math
import time
from collections.abc import Mapping

import pytest

from collectors.openmetrics import MAX_LINES, PageError, PageScanner
from tests.collectors.oracle import Everything, scanned


def test_the_list_of_series_is_the_same_object_while_it_stands():
    """Whoever prepares something for the ids can recognise them by identity."""
    scanner = PageScanner(Everything())
    first, _ = scanner.scan(b"a 1\nb 2\n")
    same, values = scanner.scan(b"a 3\nb 4\n")
    assert same is first
    assert values == [3.0, 4.0]
    commented, _ = scanner.scan(b"# hello\na 3\nb 4\n")
    assert commented is first
    swapped, _ = scanner.scan(b"b 2\na 1\n")
    assert swapped is not first
    assert first == [0, 1]


def test_a_known_series_is_not_asked_about_again():
    """After one page, pages with the same series never reach the resolver, whatever their order."""
    asked: list[str] = []

    def resolve(name: str, labels: Mapping[str, str]) -> int | None:
        asked.append(name + str(dict(labels)))
        return len(asked)

    scanner = PageScanner(resolve)
    scanner.scan(b'a{x="1"} 1\nb 2\n')
    scanner.scan(b'b 2\na{x="1"} 1\n')
    scanner.scan(b'b 2\n\na{x="1"} 1\n')
    assert asked == ["a{'x': '1'}", "b{}"]


def test_what_left_the_page_is_forgotten():
    """A source that invents series at every scrape cannot grow the scanner."""
    scanner = PageScanner(Everything())
    for number in range(50):
        scanner.scan(f'a{{x="{number}"}} 1\n'.encode())
    assert len(scanner._keys) == 1


def test_an_empty_page_has_no_samples():
    """Nothing on the page is nothing found, not an error; a blank line is no more."""
    assert scanned(b"") == []
    assert scanned(b"\n") == []
    assert scanned(b"# EOF\n") == []


def test_a_series_given_twice_is_returned_twice():
    """The scanner does not judge duplicates: both come, in page order."""
    page = b'a{x="1"} 1\na{x="1"} 2\n'
    found = [("a", (("x", "1"),), "1.0"), ("a", (("x", "1"),), "2.0")]
    assert scanned(page) == found
    assert scanned(page, page) == found


def test_a_counter_without_total_keeps_its_name():
    """The scanner gives the name on the page, where the official parser would append `_total`."""
    page = b"# TYPE llamacpp:n_tokens_max counter\nllamacpp:n_tokens_max 617\n"
    assert scanned(page) == [("llamacpp:n_tokens_max", (), "617.0")]


def test_nan_and_infinities_are_read():
    """NaN and the infinities are values like any other here."""
    _, values = PageScanner(Everything()).scan(b"a NaN\nb +Inf\nc -Inf\n")
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf]


@pytest.mark.parametrize("cut", [b"a 1\nb 2", b"a 1\nb", b"a 1\nb{x="])
def test_a_page_cut_off_is_refused_whether_or_not_its_layout_is_known(cut: bytes):
    """A number cut in the middle is still a number, so a page must end with a newline."""
    scanner = PageScanner(Everything())
    with pytest.raises(PageError, match="cut off"):
        scanner.scan(cut)
    scanner.scan(b"a 1\nb 2\n")
    with pytest.raises(PageError, match="cut off"):
        scanner.scan(cut)
    assert scanner.scan(b"a 5\nb 6\n")[1] == [5.0, 6.0]


@pytest.mark.parametrize(
    "line",
    [
        b"a",
        b"a b",
        b"a 1_0",
        b'a{x="1} 1',
        b'a{x="1",x="2"} 1',
        b'a{__x="1"} 1',
        b"a{x=1} 1",
        b"a 1 2 x",
        b'a{x="\xff"} 1',
        b"1a 1",
        b"{ 1",
        b'a{x="1"} ',
    ],
)
def test_a_line_that_is_not_a_sample_is_named(line: bytes):
    """The error gives the number of the line, its text and what was expected."""
    with pytest.raises(PageError, match=r"line 2: .*expected `name\{labels\} value") as caught:
        scanned(b"ok 1\n" + line + b"\n")
    assert caught.value.line == 2
    assert caught.value.excerpt == line.decode("utf-8", "replace")


def test_a_number_that_turns_into_nonsense_is_refused():
    """A known layout does not lower the guard for what stands where a number should."""
    scanner = PageScanner(Everything())
    scanner.scan(b"a 1\n")
    for nonsense in (b"a 1_0\n", b"a x\n", b"a \n"):
        with pytest.raises(PageError, match="line 1"):
            scanner.scan(nonsense)


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (b"<!doctype html>\n<html><body>hello</body></html>\n", "HTML"),
        (b"  <html>\n</html>", "HTML"),
        (b'{"object": "list"}', "JSON"),
        (b'[{"id": 0}]\n', "JSON"),
    ],
)
def test_another_format_is_called_by_its_name(page: bytes, kind: str):
    """A web page or JSON in place of metrics is said to be that, in one sentence."""
    with pytest.raises(PageError, match=f"this is {kind}.*not the Prometheus text format"):
        scanned(page)


def test_an_unwanted_series_does_not_hide_one_with_odd_spacing():
    """`a 1` and `a {x="1"} 1` begin alike and are two series."""

    def resolve(_name: str, labels: Mapping[str, str]) -> int | None:
        return 7 if labels else None

    scanner = PageScanner(resolve)
    assert scanner.scan(b"a 1\n") == ([], [])
    assert scanner.scan(b'a {x="1"} 2\n') == ([7], [2.0])
    assert scanner.scan(b'a 1\na {x="1"}\t2\n') == ([7], [2.0])
    assert scanner.scan(b"a 1\n") == ([], [])


def test_a_blank_line_does_not_hide_what_comes_to_stand_there():
    """An empty line begins every line, so it is compared whole."""
    assert [name for name, *_ in scanned(b"a 1\n\nb 2\n", b"a 1\nc 3\nb 2\n")] == ["a", "c", "b"]
    with pytest.raises(PageError, match="cut off"):
        scanned(b"a 1\n\n", b"a 1\n\nb")


@pytest.mark.parametrize("value", ["7", "0", "1"])
def test_a_timestamp_is_not_taken_for_the_value(value: str):
    """The value is the first of two numbers, on the first page and on later ones."""
    page = f"a {value} 1700000000000\n".encode()
    assert scanned(page) == scanned(page, page) == [("a", (), f"{value}.0")]


@pytest.mark.parametrize(
    "line",
    [b"a%d 1 1700000000000\n", b'a{x="\\\\%d"} 1\n', b"a%d  1\n"],
    ids=["time", "escape", "gap"],
)
def test_only_so_many_lines_go_to_the_official_parser(line: bytes):
    """A page of lines that only that one understands is refused, not read for seconds."""
    page = b"".join(line % number for number in range(1000))
    assert len(scanned(page)) == 1000
    began = time.process_time()
    with pytest.raises(PageError, match="more than 1000 lines of an unusual form"):
        scanned(page + b"".join(line % number for number in range(1000, 15_000)))
    assert time.process_time() - began < 1


def test_a_line_of_unusual_form_may_be_only_so_long():
    """The official parser takes ever longer for a longer line, so it gets none that is."""
    labels = ",".join(f'a{number}="\\\\"' for number in range(30_000))
    with pytest.raises(PageError, match="bytes of an unusual form"):
        scanned(b"x{" + labels.encode() + b"} 1\n")


def test_a_page_with_many_escapes_is_learned_in_several_looks():
    """What was understood before the limit was reached counts at the next look."""
    page = b"".join(b'a{x="\\\\%d"} 1\n' % number for number in range(2500))
    scanner = PageScanner(Everything())
    for _ in range(2):
        with pytest.raises(PageError, match="1000 lines"):
            scanner.scan(page)
    assert len(scanner.scan(page)[1]) == 2500


def test_a_page_has_only_so_many_lines():
    """Megabytes of the shortest lines are refused before they are looked at."""
    most = b"a 1\n" * MAX_LINES
    assert len(scanned(most)) == MAX_LINES
    with pytest.raises(PageError, match=f"more than {MAX_LINES} lines"):
        scanned(most + b"\n")
    with pytest.raises(PageError, match=f"more than {MAX_LINES} lines"):
        scanned(most, most + b"a 1\n")
