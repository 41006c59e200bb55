"""`/runbooks`: what each alert means and what to do, on the host that it is about.

`runbooks.html` beside this file is made of docs/runbooks.md by `make docs`.
"""

from pathlib import Path
from typing import Final

from aiohttp import web

from exporters.web.policy import headers
from exporters.web.style import STYLE

_OWN: Final = """
.runbooks h3{display:block;margin-top:1.6rem;scroll-margin-top:1rem}
.runbooks h3:target{background:var(--card);outline:2px solid var(--load);outline-offset:4px}
.runbooks h3~p strong::before{content:"\\A";white-space:pre}
.runbooks nav{font-size:.92rem}.runbooks nav a{margin-right:.5rem;display:inline-block}
.runbooks pre{background:var(--card);border-radius:6px;padding:.6rem .75rem;overflow-x:auto}
"""
_STYLE: Final = STYLE + _OWN
_TEXT: Final = Path(__file__).with_name("runbooks.html")
_HEADERS: Final = headers(style=_STYLE)


async def runbooks(_request: web.Request) -> web.Response:
    """The runbooks, one below the other, with an anchor for each alert."""
    text = _TEXT.read_text("utf-8")
    return web.Response(
        text=(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<link rel="icon" href="data:,"><title>Runbooks - inferwatch</title>'
            f'<style>{_STYLE}</style></head><body><main class="runbooks">'
            f'<p class="when"><a href="/">inferwatch on this host</a></p>{text}'
            "</main></body></html>\n"
        ),
        content_type="text/html",
        charset="utf-8",
        headers=_HEADERS,
    )
