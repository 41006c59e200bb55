"""The whole agent on recordings of real engines, compared with golden pages.

`make golden` writes the pages anew; look at the difference before you commit it.
"""

import os
from pathlib import Path

import pytest

from agent.app.replayed import ReplayAgent

RECORDINGS = Path(__file__).parents[1] / "recordings"
GOLDEN = Path(__file__).parents[1] / "golden"

NAMES = sorted(path.name.removesuffix(".rec.gz") for path in RECORDINGS.glob("*.rec.gz"))


@pytest.mark.parametrize("name", NAMES)
async def test_page_at_the_end_of_a_recording(name: str):
    """The last page of a recording is the golden one, to the letter."""
    page = await ReplayAgent(RECORDINGS / f"{name}.rec.gz", speed=0.0).last_page()
    golden = GOLDEN / f"{name}.prom"
    if os.environ.get("INFERWATCH_GOLDEN"):
        golden.write_text(page)
    assert page == golden.read_text()


def test_there_are_recordings():
    """The list of recordings is not empty because a folder was moved."""
    assert {"vllm-ramp", "vllm-enginecrash", "llama-ramp"} <= set(NAMES)
