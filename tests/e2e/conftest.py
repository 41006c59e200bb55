"""What several tests of whole programs use."""

from collections.abc import Iterator

import pytest

from tests.e2e.process import AgentProcess, agent_process, free_port
from tests.e2e.prometheus import Server


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """The demo, as `make demo` runs it."""
    port = free_port()
    folder = tmp_path_factory.mktemp("demo")
    with agent_process(folder, "demo", "--listen", f"127.0.0.1:{port}", port=port) as agent:
        yield agent


@pytest.fixture(scope="module")
def agent(demo: AgentProcess) -> Server:
    """Its API."""
    return Server(demo.url)
