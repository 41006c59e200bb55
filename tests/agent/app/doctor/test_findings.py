"""What follows from what the sources gave: well, missing with its price, or broken."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.app.doctor.engines import engines
from agent.app.doctor.finding import Finding, State
from agent.app.doctor.hardware import hardware
from agent.app.doctor.host import Places, host
from agent.app.doctor.look import Instance, Looked
from agent.catalog import gpu, process
from agent.catalog import host as host_catalog
from agent.model import Event, Look, Reading
from exporters.web.seen import Sample

CHAT = Instance(name="chat", title="vLLM", engine="vllm", url="http://127.0.0.1:8000", pid=7)
GPU = {"gpu": "0", "uuid": "u", "mig": "", "name": "NVIDIA H100", "driver_version": "580.1"}


def up(name: str, series: int = 3) -> Look:
    """Return a look that succeeded."""
    return Look(source=name, duration=0.01, reading=Reading([*range(series)], [0.0] * series))


def absent(name: str, why: str = "there is none") -> Look:
    """Return a look that found no such source on this host."""
    return Look(source=name, duration=0.01, error=why, unavailable=True)


def down(name: str, why: str = "it fails") -> Look:
    """Return a look that failed."""
    return Look(source=name, duration=0.01, error=why)


def looked(**given: Any) -> Looked:
    """Return what the sources gave."""
    return Looked(**({"looks": {}} | given))


def of(findings: Sequence[Finding], topic: str) -> Finding:
    """Return the one finding on a topic."""
    (found,) = (one for one in findings if one.topic == topic)
    return found


DRIVER = "NVIDIA driver and GPUs"


@pytest.mark.parametrize(
    ("look", "samples", "state", "words"),
    [
        (up("nvml"), {gpu.INFO: [Sample(GPU, 1.0)]}, State.OK, "driver 580.1, GPU 0: NVIDIA H100"),
        (up("nvml"), {}, State.MISSING, "the driver answers and lists no GPU"),
        (absent("nvml", "there is no libnvidia-ml.so.1"), {}, State.MISSING, "no libnvidia-ml"),
        (down("nvml", "no permission to talk"), {}, State.BROKEN, "no permission to talk"),
        (None, {}, State.BROKEN, "it gave no answer in time"),
    ],
)
def test_the_driver(look: Look | None, samples: dict[Any, Any], state: State, words: str):
    """A host without GPUs is no failure; a driver that refuses or hangs is."""
    found = of([*hardware(looked(looks={"nvml": look}, samples=samples))], DRIVER)
    assert (found.state, words in found.found) == (state, True)
    assert bool(found.costs) == (state is not State.OK)


def test_a_source_that_is_turned_off_is_not_missed():
    """What the configuration does not want is said, and costs nothing."""
    assert of([*hardware(looked())], DRIVER).state is State.OK
    assert of([*host(looked(), Places())], "host").state is State.OK


def test_a_gpu_that_is_lost_is_broken():
    """Though the driver answers."""
    lost = {gpu.INFO: [Sample(GPU, 1.0)], gpu.UP: [Sample(GPU, 0.0)]}
    found = of([*hardware(looked(looks={"nvml": up("nvml")}, samples=lost))], "GPU 0")
    assert found.state is State.BROKEN


def test_what_the_driver_refuses_is_a_missing_right():
    """Each value that only administrators may read is named."""
    event = Event(0.0, "gpu_read_refused", "nvml", {}, "no right to read x of GPU 0")
    found = of([*hardware(looked(events=[event]))], "rights on GPUs")
    assert (found.state, found.found) == (State.MISSING, "no right to read x of GPU 0")


@pytest.mark.parametrize(
    ("look", "state"),
    [(up("dcgm"), State.OK), (absent("dcgm"), State.MISSING), (down("dcgm"), State.BROKEN)],
)
def test_dcgm(look: Look, state: State):
    """An exporter at its usual port is not needed; one that is configured has to answer."""
    assert of([*hardware(looked(looks={"dcgm": look}))], "DCGM exporter").state is state


def test_without_an_engine_it_says_what_was_looked_for():
    """Which programs, by which commands, and what to do; that is no failure."""
    found = of([*engines(looked(looks={"discovery": up("discovery")}))], "engines")
    assert found.state is State.MISSING
    assert "vLLM or llama.cpp" in found.found
    assert "llama-server" in found.found
    assert "start one" in found.advice


def test_engines_with_their_address():
    """One whose page is understood, and one that does not answer, each with why."""
    counted = {process.OPEN_FDS: [Sample({"instance_name": "chat"}, 5.0)]}
    looks = {"engine/chat": up("engine/chat", 200), "processes": up("processes")}
    (well,) = engines(looked(looks=looks, engines=[CHAT], samples=counted))
    assert well.state is State.OK
    assert well.found == (
        "vLLM at http://127.0.0.1:8000, process 7: its page is understood, 200 series"
    )
    looks["engine/chat"] = down("engine/chat", "401: set bearer_token")
    (broken,) = engines(looked(looks=looks, engines=[CHAT], samples=counted))
    assert (broken.state, broken.found.endswith("401: set bearer_token")) == (State.BROKEN, True)


def test_an_address_at_which_nothing_listens():
    """A typing mistake: what runs here is named, with its address."""
    found = replace(CHAT, name="vllm-8001", url="http://127.0.0.1:8001")
    named = replace(CHAT, pid=None)
    looks = {
        "engine/chat": down("engine/chat", "cannot connect to http://127.0.0.1:8000: refused"),
        "engine/vllm-8001": up("engine/vllm-8001"),
    }
    start = "start it, or correct its address at collectors.engines.instances"
    alone = of([*engines(looked(looks=looks, engines=[named]))], "engine chat")
    assert alone.advice == start
    beside = of([*engines(looked(looks=looks, engines=[named, found]))], "engine chat")
    assert beside.advice == (f"{start}; what runs on this host: vllm-8001 at http://127.0.0.1:8001")
    loading = of([*engines(looked(looks=looks, engines=[CHAT]))], "engine chat")
    assert "answers later" in loading.advice


def test_open_files_that_may_not_be_counted_are_a_missing_right():
    """Only of an engine on this host whose processes are looked at."""
    looks = {"engine/chat": up("engine/chat"), "processes": up("processes")}
    found = [*engines(looked(looks=looks, engines=[CHAT]))]
    assert of(found, "processes of chat").costs == "inferwatch_engine_process_open_fds"


def test_a_log_that_nobody_reads_is_missing():
    """Of a process of this host that is in no unit; one that is not wanted is not missed."""
    looks = {"engine_ends": up("engine_ends")}
    found = of([*engines(looked(looks=looks, engines=[CHAT]))], "log of chat")
    assert (found.state, "log_file" in found.advice) == (State.MISSING, True)
    for read in (replace(CHAT, unit="chat.service"), replace(CHAT, pid=None)):
        assert "log of chat" not in {
            one.topic for one in engines(looked(looks=looks, engines=[read]))
        }
    assert "log of chat" not in {one.topic for one in engines(looked(engines=[CHAT]))}


def test_a_log_file_is_read_or_says_why_not():
    """The configuration names it, so one that cannot be read is a mistake."""
    chat = replace(CHAT, log_file=Path("/var/log/chat.log"))
    looks = {"engine_ends": up("engine_ends")}
    well = of([*engines(looked(looks=looks, engines=[chat]))], "log of chat")
    assert (well.state, well.found) == (State.OK, "/var/log/chat.log is read")
    labels = {"engine": "vllm", "instance_name": "chat"}
    refused = Event(0.0, "engine_log_unreadable", "engine_ends", labels, "it cannot be read: no")
    others = replace(refused, labels={**labels, "instance_name": "embed"}, message="of another")
    events = [others, refused]
    broken = of([*engines(looked(looks=looks, engines=[chat], events=events))], "log of chat")
    assert (broken.state, broken.found) == (State.BROKEN, "it cannot be read: no")


def test_a_search_that_fails_is_broken():
    """Engines that nobody named are then not found."""
    found = [*engines(looked(looks={"discovery": down("discovery", "process 9 hangs")}))]
    assert of(found, "search for engines").state is State.BROKEN


@pytest.mark.parametrize(
    ("name", "topic", "look", "state"),
    [
        ("kernel_log", "kernel log", up("kernel_log"), State.OK),
        ("kernel_log", "kernel log", absent("kernel_log", "CAP_SYSLOG"), State.MISSING),
        ("kernel_log", "kernel log", down("kernel_log"), State.BROKEN),
        ("host", "host", up("host"), State.OK),
        ("host", "host", down("host"), State.BROKEN),
    ],
)
def test_the_host(name: str, topic: str, look: Look, state: State):
    """What a right would give is missing; what should be there and fails is broken."""
    assert of([*host(looked(looks={name: look}), Places())], topic).state is state


@pytest.mark.parametrize(
    ("samples", "state", "words"),
    [
        ([Sample({}, 1.0)], State.OK, "a time daemon"),
        ([Sample({}, 0.0)], State.MISSING, "no time daemon"),
    ],
)
def test_the_clock(samples: list[Sample], state: State, words: str):
    """Kept or not, as the kernel says it."""
    given = looked(samples={host_catalog.CLOCK_SYNCHRONISED: samples})
    found = of([*host(given, Places())], "clock")
    assert (found.state, words in found.found) == (state, True)


def test_a_clock_that_may_not_be_asked():
    """That is another thing than one that nobody keeps."""
    found = of([*host(looked(), Places())], "clock")
    assert (found.state, "may not be asked" in found.found) == (State.MISSING, True)


def test_the_journal_and_control_groups(tmp_path: Path):
    """Where they are not, that is missing and has its price; where they are, well."""
    found = [*host(looked(), Places(proc=tmp_path, journal=(tmp_path / "none",)))]
    assert of(found, "systemd journal").state is State.MISSING
    assert of(found, "control groups").state is State.MISSING
    journal = tmp_path / "journal"
    (journal / "machine").mkdir(parents=True)
    (journal / "machine" / "system.journal").touch()
    assert of([*host(looked(), Places(journal=(journal,)))], "systemd journal").state is State.OK


def test_a_folder_that_is_not_there_is_told():
    """As the collector says it."""
    event = Event(0.0, "folder_missing", "host", {}, "the folder /srv/x cannot be watched")
    found = of([*host(looked(events=[event]), Places())], "watched folders")
    assert (found.state, found.found) == (State.MISSING, event.message)
