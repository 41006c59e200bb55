"""The page of a report in a real Chromium: no complaint, nothing cut off, at any width.

What it looks like lies in `build/` afterwards, for people to look at.
"""

from pathlib import Path

import pytest

from agent.app.report import FORMS, make
from agent.config import Settings
from agent.report.asked import Asked
from tests.agent.report.made_up import DAY, START, write
from tests.browser.chromium import BUILD, CUT, NEEDED, chromium

pytestmark = NEEDED

_SMALLEST = """
Math.min(...[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height)
  .filter(h => h > 0))
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page on a made-up history, with a comparison."""
    folder = tmp_path_factory.mktemp("page")
    write(folder / "history.db")
    asked = Asked(start="12h", against="12h")
    report = make(Settings(), asked, history=folder / "history.db", now=START + 1.25 * DAY)
    path = folder / "report.html"
    path.write_text(FORMS["html"](report), "utf-8")
    BUILD.mkdir(exist_ok=True)
    return path


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (400, False)])
async def test_nothing_is_cut_off(page: Path, tmp_path: Path, width: int, dark: bool):  # noqa: FBT001 - a parameter
    """No console error, no load, nothing beyond the window, and text that can be read."""
    async with chromium(tmp_path) as tab:
        await tab.open(page, width=width, dark=dark)
        name = f"report-{width}{'-dark' if dark else ''}.png"
        await tab.screenshot(BUILD / name)

        assert await tab.value(CUT) == []
        assert await tab.value(_SMALLEST) >= 11
        assert await tab.value("document.querySelectorAll('svg').length") > 8
        assert tab.complaints == []


async def test_it_prints(page: Path, tmp_path: Path):
    """On paper it is light, whatever the screen is, and takes some pages of A4."""
    async with chromium(tmp_path) as tab:
        await tab.open(page, width=1280, dark=True)
        await tab.pdf(BUILD / "report.pdf")

        printed = (BUILD / "report.pdf").read_bytes()
        assert printed.startswith(b"%PDF-")
        assert 2 <= printed.count(b"/Type /Page\n") <= 14
        assert tab.complaints == []
