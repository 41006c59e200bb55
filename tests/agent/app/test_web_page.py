"""The page of the demo at the end of its recording, compared with the golden one.

`make golden` writes it anew; look at the difference before you commit it.
"""

import os
import re
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

import agent
from agent.app.replayed import ReplayAgent
from exporters.http_api import HttpApi

GOLDEN = Path(__file__).parents[2] / "golden" / "page.html"
RECORDINGS = Path(__file__).parents[2] / "recordings"
DEMO = Path(agent.__file__).parent / "demo.rec.gz"


async def page_of(recording: Path) -> str:
    """Return the whole page at the end of a recording."""
    replay = ReplayAgent(recording, speed=0.0)
    await replay.last_page()
    api = HttpApi(replay._page, replay._views())
    async with TestClient(TestServer(api.application())) as client, client.get("/") as response:
        return await response.text()


async def test_the_page_is_the_golden_one():
    """To the letter, but for the version, style and script; a tag a line, to be compared."""
    text = await page_of(DEMO)
    text = re.sub(r"<(style|script)>.*?</\1>", r"<\1/>", text, flags=re.DOTALL)
    text = re.sub(r"inferwatch \d+\.\d+\.\d+", "inferwatch VERSION", text)
    text = re.sub(r"(</(?:p|li|tr|dt|dd|h\d)>)", r"\1\n", text)
    if os.environ.get("INFERWATCH_GOLDEN"):
        GOLDEN.write_text(text, "utf-8")

    assert text == GOLDEN.read_text("utf-8")


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        ("llama-ramp", ["llamacpp", "This is a replay of a recording."]),
        ("vllm-enginecrash", ["<b>down</b> its page cannot be read", "cannot be reached"]),
    ],
)
async def test_real_recordings_have_a_page(recording: str, words: list[str]):
    """Another engine, and one that died: each is told."""
    text = await page_of(RECORDINGS / f"{recording}.rec.gz")
    for word in words:
        assert word in text
