"""Whom the kernel and the driver speak of: by process, by GPU, by configuration, by name."""

import pytest

from agent.analysis.deaths.belongings import FORGET, Belongings
from agent.catalog import gpu, placement
from agent.model import Event
from tests.fakes.watched import CHAT, Watched

OTHER = ("vllm", "other")
LLAMA = ("llamacpp", "llama")
ALL = (CHAT, OTHER, LLAMA)


def info(host: Watched, index: str, uuid: str, address: str) -> None:
    """Let the driver list a GPU."""
    labels = {"gpu": index, "uuid": uuid, "pci_bus_id": address}
    host.set(gpu.INFO, 1.0, *(labels.get(name, "") for name in gpu.INFO.labels))


@pytest.fixture
def host() -> Watched:
    """Return a host with two GPUs, an engine on the first, and others of which nothing is known."""
    host = Watched()
    info(host, "0", "GPU-a", "00000000:3B:00.0")
    info(host, "1", "GPU-b", "00000000:5E:00.0")
    host.processes("10", "11", on="GPU-a")
    return host


def follow(*hosts: Watched) -> Belongings:
    """Return what is known after a frame of each."""
    found = Belongings()
    for host in hosts:
        found.follow(host.frame())
    return found


def event(kind: str, **labels: str) -> Event:
    """Return an event of the kernel or the driver."""
    return Event(0.0, kind, "kernel_log", labels)


@pytest.mark.parametrize(
    ("event", "concerned"),
    [
        (event("oom_kill", pid="11", process="python3"), [CHAT]),
        (event("oom_kill", pid="99", process="firefox"), []),
        (event("oom_kill", pid="99", process="VLLM::EngineCor"), [CHAT, OTHER]),
        (event("oom_kill", pid="99", process="llama-server"), [LLAMA]),
        (event("xid", code="31", pid="11", pci_bus_id="0000:5e:00"), [CHAT]),
        (event("xid", code="79", uuid="GPU-a"), [CHAT]),
        (event("xid", code="79", pci_bus_id="0000:3b:00"), [CHAT]),
        (event("xid", code="79", uuid="GPU-b"), []),
        (event("xid", code="79"), []),
    ],
)
def test_whom_it_concerns(host: Watched, event: Event, concerned: list[tuple[str, str]]):
    """The process counts first, then the GPU; a name only where the process is not known."""
    assert follow(host).concerned(event, ALL) == concerned


def test_what_is_gone_is_remembered(host: Watched):
    """Processes and GPUs belong to an engine for a while after they were last seen."""
    found = follow(host)
    host.time += 3600  # nothing changed in an hour, so nothing was looked at anew
    host.processes()
    found.follow(host.frame())
    for one in (event("oom_kill", pid="11"), event("xid", code="79", uuid="GPU-a")):
        assert found.concerned(one, ALL) == [CHAT]
    host.time += FORGET
    host.set(placement.PROCESS_INFO, 1.0, *OTHER, "server", "20", "")
    found.follow(host.frame())
    assert found.concerned(event("oom_kill", pid="11"), ALL) == []


@pytest.mark.parametrize("device", ["1", "GPU-b"])
def test_the_configuration_counts_alone(host: Watched, device: str):
    """Where the configuration names GPUs, by index or identifier, the processes do not count."""
    host.set(placement.PINNED_INFO, 1.0, *CHAT, device)
    found = follow(host)
    assert found.concerned(event("xid", code="79", uuid="GPU-b"), ALL) == [CHAT]
    assert found.concerned(event("xid", code="79", uuid="GPU-a"), ALL) == []


def test_the_only_one_is_meant():
    """Where nothing says on which GPU an engine runs, the only GPU or the only engine is meant."""
    one_gpu = Watched()
    info(one_gpu, "0", "GPU-a", "00000000:3B:00.0")
    assert follow(one_gpu).concerned(event("xid", code="79", uuid="GPU-a"), ALL) == [*ALL]
    two_gpus = Watched()
    info(two_gpus, "0", "GPU-a", "00000000:3B:00.0")
    info(two_gpus, "1", "GPU-b", "00000000:5E:00.0")
    found = follow(two_gpus)
    assert found.concerned(event("xid", code="79", uuid="GPU-b"), ALL) == []
    assert found.concerned(event("xid", code="79", uuid="GPU-b"), [CHAT]) == [CHAT]
