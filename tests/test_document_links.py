"""Every link between the documents leads somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md") for path in ROOT.glob(pattern)
)


def links(document: Path) -> Iterator[tuple[str, str]]:
    """Yield file and anchor of each link within the project; either may be empty."""
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in link:
            file, _mark, anchor = link.partition("#")
            yield file, anchor


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings, as code hosts make them."""
    heads = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head) for head in heads)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path):
    """The file is there, and so is the heading."""
    for file, anchor in links(document):
        target = document.parent / file if file else document
        assert target.exists(), file
        assert not anchor or target.suffix != ".md" or anchor in anchors(target), f"{file}#{anchor}"


def test_there_are_documents():
    """Else the other test could not fail."""
    assert len(DOCUMENTS) > 40
