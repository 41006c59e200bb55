"""A headless Chromium that is told what to do over its DevTools protocol."""

import asyncio
import base64
import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
NEEDED = [
    pytest.mark.browser,
    pytest.mark.skipif(not PROGRAM, reason="Chromium is not installed: apt install chromium"),
]
"""Marks of tests that run it."""

BUILD = Path(__file__).parents[2] / "build"
"""Where tests leave what a page looks like."""

CUT = """
(() => {
  const wide = document.documentElement.clientWidth;
  const bad = [];
  for (const e of document.querySelectorAll('h1,h2,h3,p,li,td,th,dt,dd,article,.tile,.key,svg'))
    { const r = e.getBoundingClientRect();
      if (r.width > 1 && !e.closest('.scroll') && (r.right > wide + 1 || r.left < -1))
        bad.push(e.tagName + ' ' + e.textContent.slice(0, 40)); }
  for (const s of document.querySelectorAll('svg'))
    { const b = s.getBoundingClientRect();
      for (const t of s.querySelectorAll('text'))
        { const r = t.getBoundingClientRect();
          if (r.width && (r.right > b.right + 2 || r.left < b.left - 2 || r.top < b.top - 4))
            bad.push('text ' + t.textContent); } }
  if (document.documentElement.scrollWidth > wide) bad.push('page scrolls sideways');
  return bad;
})()
"""
"""Elements that are wider than the window, and text of a plot that leaves it."""


class Tab:
    """One page. Everything that it complains of is collected.

    Attributes:
        complaints: errors of the console, exceptions, loads that failed, and those from elsewhere.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self._own: tuple[str, ...] = ("file:", "data:")
        self._socket = socket
        self._numbers = itertools.count(1)
        self._seen: set[str] = set()

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return what a method of the protocol answers."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=30)
            self._note(message)
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def _note(self, message: dict[str, Any]) -> None:
        """Take over an event."""
        method, params = message.get("method", ""), message.get("params", {})
        self._seen.add(method)
        if method == "Log.entryAdded" and params["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(params["entry"]["text"])
        if method == "Runtime.consoleAPICalled" and params["type"] in {"error", "warning"}:
            self.complaints.append(str(params["args"]))
        if method in {"Runtime.exceptionThrown", "Network.loadingFailed"}:
            self.complaints.append(str(params))
        if method == "Network.requestWillBeSent":
            self.complaints += [
                url for url in [params["request"]["url"]] if not url.startswith(self._own)
            ]

    async def open(self, page: Path | str, *, width: int, dark: bool = False) -> None:
        """Load a file, or an address and what is below it, into a window of this width."""
        address = page if isinstance(page, str) else page.as_uri()
        if isinstance(page, str):
            self._own = (*self._own, page)
        for domain in ("Log", "Runtime", "Network", "Page"):
            await self.call(f"{domain}.enable")
        narrow = width < 600
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
            deviceScaleFactor=1, mobile=narrow)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._seen.discard("Page.loadEventFired")
        await self.call("Page.navigate", url=address)
        while "Page.loadEventFired" not in self._seen:
            self._note(await self._socket.receive_json(timeout=30))

    async def value(self, expression: str) -> Any:
        """Return what JavaScript gives in the page."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"]["value"]

    async def screenshot(self, path: Path) -> None:
        """Write the whole page as PNG."""
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))  # noqa: ASYNC240 - nobody waits here

    async def pdf(self, path: Path) -> None:
        """Write the page as it is printed."""
        printed = await self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(printed["data"]))  # noqa: ASYNC240 - likewise


@contextlib.asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Tab]:
    """Start a Chromium with a profile of its own and give its one tab."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0",
        f"--user-data-dir={folder}", "about:blank",
        stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            while True:
                line = (await process.stderr.readline()).decode()
                assert line, "Chromium ended"
                if "DevTools listening on ws://" in line:
                    break
        address = line.split("ws://")[1].split("/")[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/json/list") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(
                pages[0]["webSocketDebuggerUrl"], max_msg_size=0
            ) as socket:
                yield Tab(socket)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
