"""A real Thanos: a querier over the sidecars of two Prometheus that have the same."""

import contextlib
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from agent.app.report_fleet import remote
from tests.e2e.process import free_port
from tests.e2e.prometheus import prometheus
from tests.e2e.told import END, settings
from tests.servers import THANOS

# Whatever proxy this machine is told to use, the servers are on it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_WHOLE = "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h"


@dataclass(frozen=True)
class Thanos:
    """A running one.

    Attributes:
        url: of the querier.
        sidecars: one for each Prometheus.
    """

    url: str
    sidecars: tuple[subprocess.Popen[bytes], ...]

    def lose(self, number: int) -> None:
        """End one of the sidecars."""
        self.sidecars[number].kill()
        self.sidecars[number].wait(timeout=30)


@contextlib.contextmanager
def thanos(folder: Path, *options: str, blocks: Path) -> Iterator[Thanos]:
    """Keep two Prometheus with the same blocks running, a sidecar for each, and a querier.

    Args:
        folder: for data and logs.
        options: further ones of the querier.
        blocks: a folder with the blocks.

    Raises:
        AssertionError: one of them does not get ready.
    """
    with contextlib.ExitStack() as kept:
        endpoints, sidecars = [], []
        for replica in ("a", "b"):
            own = folder / replica
            own.mkdir(parents=True)
            shutil.copytree(blocks, own / "data")
            config = yaml.safe_dump({"global": {"external_labels": {"replica": replica}}})
            server = kept.enter_context(prometheus(own, config, "--log.level=warn", *_WHOLE))
            grpc = free_port()
            options_of = (f"--prometheus.url={server.url}", f"--tsdb.path={own / 'data'}")
            process, _url = kept.enter_context(_running(own, "sidecar", grpc, *options_of))
            sidecars.append(process)
            endpoints.append(f"--endpoint=127.0.0.1:{grpc}")
        told = ("--query.replica-label=replica", *endpoints, *options)
        _process, url = kept.enter_context(_running(folder, "query", free_port(), *told))
        _wait_for_hosts(url)
        yield Thanos(url, tuple(sidecars))


@contextlib.contextmanager
def live(folder: Path, scrapes: str, rules: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Keep a Prometheus of the cluster oslo running, its sidecar, a querier and a ruler.

    Args:
        folder: for data and logs.
        scrapes: the configuration of the Prometheus.
        rules: files of rules, by their names.

    Yields:
        The addresses of the querier and of the ruler.

    Raises:
        AssertionError: one of them does not get ready.
    """
    (folder / "rules").mkdir()
    for name, text in rules.items():
        (folder / "rules" / name).write_text(text)
    config = yaml.safe_load(scrapes)
    config["global"]["external_labels"] = {"cluster": "oslo", "replica": "a"}
    sidecar, ruler = free_port(), free_port()
    with contextlib.ExitStack() as kept:
        server = kept.enter_context(prometheus(folder, yaml.safe_dump(config), *_WHOLE))
        data = folder / "data"
        at = (f"--prometheus.url={server.url}", f"--tsdb.path={data}")
        kept.enter_context(_running(folder, "sidecar", sidecar, *at))
        endpoints = (f"--endpoint=127.0.0.1:{port}" for port in (sidecar, ruler))
        told = ("--query.replica-label=replica", *endpoints)
        _process, url = kept.enter_context(_running(folder, "query", free_port(), *told))
        options = (f"--query={url}", f"--rule-file={folder / 'rules'}/*.yml", '--label=ruler="x"')
        where = f"--data-dir={folder / 'ruler'}"
        _process, rule = kept.enter_context(_running(folder, "rule", ruler, where, *options))
        yield url, rule


@contextlib.contextmanager
def frontend(folder: Path, url: str, *options: str) -> Iterator[str]:
    """Keep a query frontend before a querier running, and yield its address.

    Args:
        folder: for its log.
        url: of the querier.
        options: further ones of its command line.

    Raises:
        AssertionError: it does not get ready.
    """
    told = (f"--query-frontend.downstream-url={url}", *options)
    with _running(folder, "query-frontend", None, *told) as (_process, found):
        yield found


@contextlib.contextmanager
def _running(
    folder: Path, part: str, grpc: int | None, *options: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Keep one part running; yield its process and address."""
    port = free_port()
    command = [
        *(THANOS, part, "--log.level=warn", f"--http-address=127.0.0.1:{port}"),
        *(() if grpc is None else (f"--grpc-address=127.0.0.1:{grpc}",)),
        *options,
    ]
    log = folder / f"{part}.log"
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}", process, log)
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait(timeout=30)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it answers."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            _DIRECT.open(f"{url}/-/ready", timeout=5).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"Thanos does not get ready\n{log.read_text()}")


def _wait_for_hosts(url: str) -> None:
    """Wait until the querier has found what the sidecars have."""
    end = time.monotonic() + 60
    with remote(settings({}), url) as querier:
        while time.monotonic() < end:
            found = querier.range('count({job="inferwatch"})', END - 120, END - 60, 60.0)
            if found.series and not querier.warnings:
                return
            querier.warnings.clear()
            time.sleep(0.1)
    raise AssertionError("Thanos does not find the hosts")
