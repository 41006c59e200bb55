"""Make the page of the runbooks: `python -m tests.runbooks > exporters/web/runbooks.html`.

The agent serves what comes out and understands no Markdown itself; that is for those who write it.
"""

import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

DOCUMENT = Path(__file__).parents[1] / "docs" / "runbooks.md"
PAGE = Path(__file__).parents[1] / "exporters" / "web" / "runbooks.html"

_WHOLE = ("http://", "https://", "#")


def anchor_of(title: str) -> str:
    """Return the anchor of a heading, as the usual viewers of repositories name it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def rendered(text: str) -> str:
    """Return Markdown as HTML: headings can be led to, and every link in it leads somewhere."""
    reader = MarkdownIt("commonmark", {"html": False})
    tokens = reader.parse(text)
    listed: list[tuple[str, str]] = []
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor_of(following.content))
            if token.tag in {"h2", "h3"}:
                listed.append((token.tag, following.content))
    for token in tokens:
        if token.children:
            token.children = [*_led(token.children)]
    # The list of all comes after what stands before the first part.
    parts = (at for at, token in enumerate(tokens) if token.tag == "h2")
    first = next(parts, len(tokens))
    before = reader.renderer.render(tokens[:first], reader.options, {})
    after = reader.renderer.render(tokens[first:], reader.options, {})
    return before + "".join(_list(listed)) + after


def _led(tokens: list[Token]) -> Iterator[Token]:
    """Yield a line with its links; those to other documents, which no agent serves, as names."""
    inside = False
    for token in tokens:
        if token.type == "link_open" and not str(token.attrs["href"]).startswith(_WHOLE):
            name = str(token.attrs["href"]).partition("#")[0]
            yield Token("code_inline", "code", 0, content=f"docs/{name}")
            inside = True
        elif inside:
            inside = token.type != "link_close"
        else:
            yield token


def _list(headings: list[tuple[str, str]]) -> Iterator[str]:
    """Yield all sections as links: one line for those of a part."""
    yield '<nav aria-label="All runbooks">\n'
    for number, (tag, title) in enumerate(headings):
        if tag == "h2":
            yield f"{'</p>' if number else ''}\n<p><b>"
        yield f'<a href="#{anchor_of(title)}">{title}</a>'
        yield "</b> " if tag == "h2" else " "
    yield "</p>\n</nav>\n"


if __name__ == "__main__":
    sys.stdout.write(rendered(DOCUMENT.read_text("utf-8")))
