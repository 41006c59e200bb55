"""The page of a running demo in a real Chromium: whole at any width, refreshing, honest at its end.

What it looks like lies in `build/` afterwards, for people to look at.
"""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import BUILD, CUT, NEEDED, Tab, chromium
from tests.e2e.process import AgentProcess, agent_process, free_port

pytestmark = NEEDED

# Text against what is behind it, by WCAG 2: (lighter + 0.05) / (darker + 0.05).
_FAINT = """
(() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => { const [r, g, b] = parts(color).slice(0, 3).map((v) =>
    (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if ((parts(c)[3] ?? 1) === 1) return c; } return 'rgb(255, 255, 255)'; };
  const bad = [];
  for (const e of document.querySelectorAll('main *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length) continue;
    const pair = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) bad.push(ratio.toFixed(2) + ' ' + e.textContent.slice(0, 40)); }
  return bad;
})()
"""
# Names of what a screen reader lists, and headings that skip a level.
_READ = """
(() => {
  const levels = [...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]));
  const bad = levels.filter((l, i) => i && l > levels[i - 1] + 1).map((l) => 'jumps to h' + l);
  for (const t of document.querySelectorAll('table'))
    if (!t.caption || !t.querySelector('thead th[scope=col]')) bad.push('a table without heads');
  for (const a of document.querySelectorAll('a'))
    { if (!a.textContent.trim()) bad.push('a link without words');
      const to = a.getAttribute('href');
      if (to.startsWith('#') && !document.getElementById(to.slice(1))) bad.push('nowhere: ' + to); }
  return bad;
})()
"""
_AGE = "document.getElementById('age').textContent"
_NOW = "document.getElementById('now').dataset.time"
_GONE = "document.getElementById('gone').hidden ? '' : document.getElementById('gone').textContent"


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[AgentProcess]:
    """A demo on a port of its own."""
    BUILD.mkdir(exist_ok=True)
    port = free_port()
    with agent_process(tmp_path, "demo", "--listen", f"127.0.0.1:{port}", port=port) as agent:
        yield agent


async def until(tab: Tab, expression: str, before: object, *, seconds: float = 15.0) -> object:
    """Wait until an expression gives something else than before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = await tab.value(expression)
        if found != before:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"{expression} is still {before!r}")


@pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (1280, True), (400, False), (400, True)]
)
async def test_it_is_whole_and_refreshes(
    demo: AgentProcess, tmp_path: Path, *, width: int, dark: bool
):
    """No complaint, nothing cut off or faint, heads for those who listen; numbers move."""
    async with chromium(tmp_path / "profile") as tab:
        await tab.open(f"{demo.url}/", width=width, dark=dark)
        before = await tab.value(_NOW)
        await until(tab, _NOW, before)
        await tab.screenshot(BUILD / f"page-{width}{'-dark' if dark else ''}.png")

        assert await tab.value(CUT) == []
        assert await tab.value(_FAINT) == []
        assert await tab.value(_READ) == []
        assert " s old; looked at anew every 2 s." in str(await tab.value(_AGE))
        assert await tab.value(_GONE) == ""
        assert tab.complaints == []


async def test_it_says_when_the_agent_is_gone(demo: AgentProcess, tmp_path: Path):
    """Killed, the agent leaves a page that calls its numbers old instead of standing still."""
    async with chromium(tmp_path / "profile") as tab:
        await tab.open(f"{demo.url}/", width=400)
        assert tab.complaints == []
        demo.signal(signal.SIGKILL)
        said = str(await until(tab, _GONE, ""))
        await tab.screenshot(BUILD / "page-400-gone.png")

        assert "The agent cannot be reached since" in said
        assert "it gives no answer. What stands below is old" in said
        assert await tab.value("document.title") == "No answer - inferwatch"
        assert await tab.value(CUT) == []
        age = await tab.value(_AGE)
        assert await until(tab, _AGE, age) != age


async def test_what_is_focused_stays_so_over_a_refresh(demo: AgentProcess, tmp_path: Path):
    """Whoever walks through the page by keyboard is not thrown back to its beginning."""
    async with chromium(tmp_path / "profile") as tab:
        await tab.open(f"{demo.url}/", width=1280)
        focused = "document.activeElement.getAttribute('href')"
        await tab.value("document.querySelector('#now a').focus() || 1")
        before, link = await tab.value(_NOW), await tab.value(focused)
        await until(tab, _NOW, before)

        assert link
        assert await tab.value(focused) == link


async def test_it_prints(demo: AgentProcess, tmp_path: Path):
    """On paper it takes some pages of A4."""
    async with chromium(tmp_path / "profile") as tab:
        await tab.open(f"{demo.url}/", width=1280, dark=True)
        await tab.pdf(BUILD / "page.pdf")

        printed = (BUILD / "page.pdf").read_bytes()
        assert 1 <= printed.count(b"/Type /Page\n") <= 8
        assert tab.complaints == []
