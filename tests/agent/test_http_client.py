"""What people are told of a server that cannot be asked."""

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from agent.http_client import unreached


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_of_a_connection_the_system_is_quoted(scheme: str):
    """Not the library, which says "ssl:default" of an address without TLS too."""
    port = unused_port()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as found:
            await session.get(f"{scheme}://127.0.0.1:{port}")
    assert "ssl" in str(found.value)
    assert unreached(found.value) == f"Connect call failed ('127.0.0.1', {port})"


@pytest.mark.parametrize(
    ("problem", "said"),
    [(OSError("no room"), "no room"), (aiohttp.ServerTimeoutError(), "ServerTimeoutError")],
)
def test_of_any_other_problem_its_own_words_are_told(problem: Exception, said: str):
    """And its kind where it has none."""
    assert unreached(problem) == said
