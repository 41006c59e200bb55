"""What may hang holds up neither the loop nor the end of the agent."""

import asyncio
import gc
import subprocess
import sys
import threading

import pytest

from agent.aside import Aside


async def test_an_answer_and_an_error_come_back():
    """Whoever asks gets what the work returned or raised, and the loop goes on meanwhile."""
    aside = Aside("test")
    caller = threading.current_thread()
    assert await aside.do(threading.current_thread) is not caller

    def fail() -> None:
        raise FileNotFoundError("no such thing")

    with pytest.raises(FileNotFoundError, match="no such thing"):
        await aside.do(fail)
    assert await aside.do(lambda: 7) == 7
    assert not aside.is_busy


async def test_work_that_hangs_costs_one_thread():
    """Those that ask while it hangs wait until they give up; afterwards all is as before."""
    aside = Aside("hangs")
    released = threading.Event()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await aside.do(lambda: released.wait(30))
    assert aside.is_busy
    assert sum(thread.name == "hangs" for thread in threading.enumerate()) == 1
    released.set()
    assert await asyncio.wait_for(aside.do(lambda: 7), 10) == 7


async def test_one_thread_does_it_all_and_ends_with_the_last_who_could_ask():
    """All work is done in the same thread, which is gone soon after its owner."""
    aside = Aside("kept")
    first = await aside.do(threading.current_thread)
    assert await aside.do(threading.current_thread) is first
    del aside
    gc.collect()
    first.join(10)
    assert not first.is_alive()


def test_a_hung_thread_does_not_keep_the_agent_alive():
    """The process ends although its work never does."""
    code = """
import asyncio, contextlib, threading
from agent.aside import Aside
async def main():
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await Aside("x").do(threading.Event().wait)
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
