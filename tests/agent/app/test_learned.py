"""What was learned lies in the state folder: written now and then, read at the start."""

import json
from pathlib import Path

from agent.analysis.engines import EngineAnalysis
from agent.app.learned import EVERY, LearnedFile
from tests.agent.analysis.hosts import Host
from tests.fakes.clock import ManualClock


class Run:
    """A run of the agent with a state folder."""

    def __init__(self, path: Path, host: Host | None = None) -> None:
        self.clock = ManualClock()
        self.host = host or Host()
        self.analysis = EngineAnalysis()
        self.told: list[str] = []
        self.path = path
        self.file = LearnedFile(
            self.analysis.learning, path, clock=self.clock, told=self.told.append
        )

    async def ticks(self, count: int) -> list[str]:
        """Let so many seconds pass; return what the analysis told of models."""
        messages: list[str] = []
        for frame in self.host.frames(count):
            events = self.analysis.observe(frame).events
            messages += [event.message for event in events if event.kind.startswith("models_")]
            await self.file.publish(frame)
            self.clock.advance(1.0)
        return messages


async def test_it_is_written_every_few_minutes_and_read_at_the_start(tmp_path: Path):
    """The next run begins with what this one had learned when it was last saved."""
    run = Run(tmp_path / "state" / "learned.json")
    await run.ticks(int(EVERY))
    assert not run.path.exists()
    await run.ticks(3)
    while run.file._writing is not None and not run.file._writing.done():
        await run.file._writing
    saved = json.loads(run.path.read_bytes())
    assert [one["replica"] for one in saved["replicas"]] == [["vllm", "chat", "m", "0"]]
    again = Run(run.path, Host())
    assert await again.file.restore() == 1
    (message,) = await again.ticks(10)
    assert message.endswith("is taken up again")
    assert run.told == again.told == []


async def test_the_end_saves_once(tmp_path: Path):
    """What was learned since the last save is kept when the agent ends, closed twice or not."""
    run = Run(tmp_path / "learned.json")
    await run.ticks(10)
    await run.file.aclose()
    assert json.loads(run.path.read_bytes())["replicas"]
    run.path.unlink()
    await run.file.aclose()
    assert not run.path.exists()


async def test_a_first_start_has_nothing_to_read(tmp_path: Path):
    """Without a file there is nothing to tell."""
    run = Run(tmp_path / "learned.json")
    assert await run.file.restore() == 0
    assert run.told == []


async def test_a_damaged_file_is_moved_aside_and_told(tmp_path: Path):
    """What cannot be read is kept for whoever wants to know, and the agent begins anew."""
    run = Run(tmp_path / "learned.json")
    run.path.write_text('{"version": 1, "repli')
    assert await run.file.restore() == 0
    assert not run.path.exists()
    assert (tmp_path / "learned.json.damaged").read_text().startswith('{"version"')
    assert len(run.told) == 1
    assert "cannot be used and is moved to learned.json.damaged" in run.told[0]


async def test_trouble_with_the_folder_is_told_once(tmp_path: Path):
    """A folder that cannot be written costs what is learned at a restart, and a single line."""
    (tmp_path / "file").write_text("in the way")
    run = Run(tmp_path / "file" / "learned.json")
    for _ in range(2):
        await run.ticks(int(EVERY) + 3)
        while run.file._writing is not None and not run.file._writing.done():
            await run.file._writing
    await run.file.aclose()
    assert len(run.told) == 1
    assert run.told[0].startswith("what was learned of the engines cannot be saved: ")
