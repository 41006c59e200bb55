"""The daemon as a process: real sockets, a real child for the driver, real signals."""

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import AgentProcess, agent_process, free_port, served_engine
from tests.fakes.engine_server import EngineServer
from tests.fakes.nvml.controller import StubDriver

CONFIG = """
tick: {{interval: 200ms}}
history: {{path: {folder}/history.db}}
exporters: {{http_api: {{listen: ["127.0.0.1:{port}"]}}}}
collectors:
  nvml: {{interval: 200ms, timeout: 1s, stale_after: 1500ms}}
  discovery: {{enabled: false}}
  engines:
    interval: 200ms
    timeout: 500ms
    stale_after: 1500ms
    instances:
      - {{name: chat, engine: vllm, url: "{url}"}}
"""

EARLY = """
import os, signal, sys
import agent.__main__ as command
load = command.load
def load_late(name):
    os.kill(os.getpid(), signal.SIGHUP)
    return load(name)
command.load = load_late
sys.exit(command.main())
"""

LABELS = '{engine="vllm",instance_name="chat",model_name="tiny",rank="0"}'
UP = 'inferwatch_engine_up{engine="vllm",instance_name="chat"}'
RUNNING = f"inferwatch_engine_requests_running{LABELS}"
NVML_UP = 'inferwatch_source_up{source="nvml"}'


class Host:
    """An agent, the engine server and the driver that it watches."""

    def __init__(
        self,
        agent: AgentProcess,
        driver: StubDriver,
        config: Path,
        engine: "subprocess.Popen[bytes]",
    ) -> None:
        self.agent = agent
        self.driver = driver
        self.config = config
        self.engine = engine
        self._configured = config.read_text()

    def calm(self) -> None:
        """Take back whatever a test did, and wait until all is well."""
        self.engine.send_signal(signal.SIGCONT)
        self.driver.hangs.clear()
        self.driver.write()
        if self.config.read_text() != self._configured:
            self.config.write_text(self._configured)
            assert self.agent.post("/-/reload")[0] == 200
        self.agent.wait_for(UP, 1.0)
        self.agent.wait_for(NVML_UP, 1.0, seconds=30)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Host]:
    """Run an agent with one engine that can be frozen, and two GPUs."""
    driver = StubDriver(folder, gpus=2)
    port = free_port()
    config = folder / "config.yaml"
    with served_engine() as (engine, url):
        config.write_text(CONFIG.format(port=port, url=url, folder=folder))
        arguments = ("run", "--config", str(config))
        with agent_process(folder, *arguments, port=port, env=driver.env()) as agent:
            yield Host(agent, driver, config, engine)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A running agent, which all tests but that of its end leave as they found it."""
    with running(tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture
def host(shared: Host) -> Host:
    """That agent while all is well, whatever the test before did."""
    shared.calm()
    return shared


def test_engine_and_gpus_are_on_one_page(host: Host):
    """What the engine says and what the driver says stand on the same page, by their names."""
    assert host.agent.value(RUNNING) == 6
    assert host.agent.value("inferwatch_gpus") == 2


def test_the_engines_own_page_is_passed_on(host: Host):
    """VLLM's own names are to be had from the agent, byte for byte."""
    status, page = host.agent.get("/metrics/engine/chat")
    assert status == 200
    assert EngineServer.vllm().documents["/metrics"].decode() == page
    assert host.agent.get("/metrics/engine/none")[0] == 404


def test_a_frozen_engine_delays_nothing(host: Host):
    """An engine that stops answering is down, its values leave the page, the GPUs stay."""
    host.engine.send_signal(signal.SIGSTOP)
    host.agent.wait_for(UP, 0.0)
    host.agent.wait_for(RUNNING, None)
    begun = time.monotonic()
    assert host.agent.get("/metrics")[0] == 200
    assert time.monotonic() - begun < 0.4  # less than the engine's timeout: nobody waited for it
    assert host.agent.value(NVML_UP) == 1.0
    assert host.agent.get("/metrics/engine/chat")[0] == 503
    host.engine.send_signal(signal.SIGCONT)
    host.agent.wait_for(UP, 1.0)


def test_a_hung_driver_delays_nothing(host: Host):
    """While a driver call hangs the engine is still watched; afterwards the GPUs return."""
    host.driver.hangs["*"] = 60_000
    host.driver.write()
    host.agent.wait_for(NVML_UP, 0.0)
    assert host.agent.value(UP) == 1.0
    assert host.agent.value(RUNNING) == 6
    host.driver.hangs.clear()
    host.driver.write()
    host.agent.wait_for(NVML_UP, 1.0, seconds=30)


def test_a_bad_configuration_is_refused_and_the_old_one_goes_on(host: Host):
    """A reload with problems changes nothing, and says so in a metric, the answer and the log."""
    good = host.config.read_text()
    host.config.write_text(good.replace("nvml:", "nvmll:"))
    status, answer = host.agent.post("/-/reload")
    assert status == 400
    assert "did you mean 'nvml'?" in answer
    host.agent.wait_for("inferwatch_config_last_reload_successful", 0.0)
    assert host.agent.value(UP) == 1.0
    assert "the configuration was refused" in host.agent.log.read_text()
    host.config.write_text(good)
    host.agent.signal(signal.SIGHUP)
    host.agent.wait_for("inferwatch_config_last_reload_successful", 1.0)


def test_a_good_configuration_takes_effect(host: Host):
    """A reload can take a source away and leave the others as they are."""
    told = host.agent.log.read_text().count("source engine/chat is up")
    host.config.write_text(host.config.read_text().replace("nvml: {", "nvml: {enabled: false, "))
    assert host.agent.post("/-/reload") == (200, "reloaded\n")
    host.agent.wait_for(NVML_UP, None)
    assert host.agent.value(UP) == 1.0
    assert host.agent.log.read_text().count("source engine/chat is up") == told > 0


def test_a_page_in_a_browser_cannot_reload(host: Host):
    """A request that a web page makes is refused, although it comes from this host."""
    assert host.agent.post("/-/reload", Origin="http://example.org")[0] == 403


def test_it_ends_at_once(tmp_path: Path):
    """SIGTERM ends the agent cleanly and takes its child along."""
    with running(tmp_path) as host:
        host.agent.wait_for(UP, 1.0)
        begun = time.monotonic()
        assert host.agent.stop() == 0
        assert time.monotonic() - begun < 5
        assert '"event": "inferwatch has stopped"' in host.agent.log.read_text()


def test_a_reload_that_comes_too_early_is_made_when_it_can_be(tmp_path: Path):
    """SIGHUP before anything was imported ends nothing; the configuration is read once more."""
    config = tmp_path / "config.yaml"
    config.write_text("collectors: {nvml: {enabled: false}}\n")
    made = str(tmp_path / "host.rec.gz")
    done = subprocess.run(
        [
            *(sys.executable, "-c", EARLY),
            *("record", made, "--config", str(config), "--duration", "1s"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the configuration was read again") == 1


def test_a_bad_file_ends_it_before_it_listens(tmp_path: Path):
    """The process exits with 2 and the list of problems."""
    config = tmp_path / "config.yaml"
    config.write_text("tick: {interval: -1}\n")
    done = subprocess.run(
        [sys.executable, "-I", "-m", "agent", "run", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "tick.interval: expected a duration between 100ms and 60s, found '-1'" in done.stderr


def test_a_taken_port_is_said(host: Host):
    """A second agent on the same address says which key to change and ends with 2."""
    done = subprocess.run(
        [sys.executable, "-I", "-m", "agent", "run", "--config", str(host.config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "exporters.http_api.listen" in done.stderr


def test_a_recording_gives_the_same_numbers(tmp_path: Path, host: Host):
    """What `record` wrote beside the service, `replay` shows again, without the names."""
    port = free_port()
    recording = tmp_path / "host.rec.gz"
    with agent_process(
        tmp_path,
        *("record", str(recording), "--config", str(host.config), "--scrub"),
        *("--listen", f"127.0.0.1:{port}"),
        port=port,
        env=host.driver.env(),
    ) as recorder:
        recorder.wait_for(NVML_UP, 1.0)
        recorder.wait_for(UP, 1.0)
        assert recorder.stop() == 0
    done = subprocess.run(
        [sys.executable, "-I", "-m", "agent", "replay", str(recording), "--print"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    scrubbed = re.sub('(instance_name|model_name)="[^"]*"', r'\1="\1-N"', RUNNING)
    page = re.sub(r'="(instance_name|model_name)-\d+"', r'="\1-N"', done.stdout)
    assert f"{scrubbed} 6" in page.splitlines()
    assert "inferwatch_gpus 2" in page.splitlines()
    assert '"chat"' not in page
    assert "engine/chat" not in page


def test_a_recorder_serves_nothing_unless_told(tmp_path: Path, host: Host):
    """Beside the service and with its configuration, a recorder takes no address of its own."""
    command = [sys.executable, "-I", "-m", "agent", "record", "r", "--duration", "500ms"]
    done = subprocess.run(
        [*command, "--config", str(host.config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=tmp_path,
        env=host.driver.env(),
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert (tmp_path / "r").stat().st_size > 100
