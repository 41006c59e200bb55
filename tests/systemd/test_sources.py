"""The sources behind the sandbox: a driver, an engine of another user, the kernel log."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.nvml.build import CompilerMissingError
from tests.fakes.nvml.controller import StubDriver
from tests.systemd.container import REPOSITORY, Container

pytestmark = pytest.mark.systemd

DROP_IN = "/run/systemd/system/inferwatch.service.d/driver.conf"
PAGE = "curl -sf localhost:9745/metrics"


def inside(path: str) -> str:
    """Return where the container sees a path of the repository."""
    return f"/src/{Path(path).relative_to(REPOSITORY)}"


@pytest.fixture(scope="module")
def serving(host: Container) -> Iterator[Container]:
    """A host with two GPUs and a vLLM of another user."""
    folder = REPOSITORY / "build" / "systemd" / "driver"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        environment = StubDriver(folder, gpus=2).env()
    except CompilerMissingError as error:
        pytest.skip(str(error))
    driver = " ".join(
        f"{name}={inside(environment[name])}" for name in ("LD_LIBRARY_PATH", "NVML_STUB_STATE")
    )
    host.out(
        f"mkdir -p $(dirname {DROP_IN}) && printf '[Service]\\nEnvironment={driver}\\n' > {DROP_IN}"
        " && (echo '#!/usr/bin/python3'; cat /src/tests/systemd/fake_vllm.py)"
        " > /usr/local/bin/vllm && chmod 755 /usr/local/bin/vllm"
        " && systemd-run --quiet --unit=vllm --uid=nobody vllm serve Qwen/Qwen3-8B --port 8000"
        " && systemctl daemon-reload && systemctl restart inferwatch"
    )
    yield host
    host.out(f"systemctl stop vllm; rm /usr/local/bin/vllm {DROP_IN}; systemctl daemon-reload")


def test_gpus_are_seen_through_the_sandbox(serving: Container):
    """The driver library loads in the child process and its GPUs are on the page."""
    page = serving.until(f"{PAGE} | grep '^inferwatch_gpu_memory_used_bytes{{'", seconds=15)

    assert len(page.splitlines()) == 2


def test_an_engine_of_another_user_is_found(serving: Container):
    """An engine that runs as another user is discovered by its command line and scraped."""
    page = serving.until(f"{PAGE} | grep '^inferwatch_engine_up{{'", seconds=15)

    assert 'engine="vllm"' in page
    assert page.endswith(" 1")
    serving.until(f"{PAGE} | grep '^inferwatch_engine_requests_running{{'", seconds=15)
    serving.until(f"{PAGE} | grep '^inferwatch_engine_process_cpu_seconds_total{{'", seconds=15)


def test_no_source_is_broken(serving: Container):
    """Behind the sandbox every source works or says that the host has no such thing."""
    serving.until(f"{PAGE} | grep -x 'inferwatch_source_up{{source=\"nvml\"}} 1'", seconds=15)

    assert serving.sh(f"{PAGE} | grep '^inferwatch_source_up.* 0$'").stdout == ""
