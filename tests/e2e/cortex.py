"""A real Cortex, whose API, limits and tenants are those of Mimir, which began as its copy."""

import contextlib
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from agent.app.report_fleet import remote
from tests.e2e.process import free_port
from tests.e2e.told import END, settings
from tests.servers import CORTEX

TENANT: Final[Mapping[str, str]] = {"X-Scope-OrgID": "team-a"}

# Whatever proxy this machine is told to use, the server is on it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_RINGS = ("distributor", "compactor", "ruler")


@contextlib.contextmanager
def cortex(
    folder: Path, *options: str, blocks: Path | None = None, rules: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Keep a Cortex running, all its parts in one process, and yield the address of its API.

    Args:
        folder: for its data and its log.
        options: further ones of its command line.
        blocks: a folder with blocks that the tenant has.
        rules: files of rules of the tenant, by their names.

    Raises:
        AssertionError: it does not get ready.
    """
    mine = folder / "bucket" / TENANT["X-Scope-OrgID"]
    mine.mkdir(parents=True)
    for block in () if blocks is None else blocks.glob("01*"):
        shutil.copytree(block, mine / block.name)
    (folder / "alertmanagers").mkdir()
    ruled = folder / "rules" / mine.name
    ruled.mkdir(parents=True)
    for name, text in (rules or {}).items():
        (ruled / name).write_text(text)
    port = free_port()
    command = [CORTEX, *_options(folder, port), *options]
    log = folder / "cortex.log"
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            _wait(f"http://127.0.0.1:{port}", process, log, filled=blocks is not None)
            yield f"http://127.0.0.1:{port}/prometheus"
        finally:
            process.kill()  # asked to end it hands over first, for half a minute
            process.wait(timeout=30)


def _options(folder: Path, port: int) -> list[str]:
    """Return a command line that listens on loopback alone and needs nothing outside a folder."""
    # Without a compactor for the tenant nobody writes the index of its blocks.
    return [
        "-target=all",
        "-log.level=warn",
        "-server.http-listen-address=127.0.0.1",
        f"-server.http-listen-port={port}",
        "-server.grpc-listen-address=127.0.0.1",
        f"-server.grpc-listen-port={free_port()}",
        "-blocks-storage.backend=filesystem",
        f"-blocks-storage.filesystem.dir={folder / 'bucket'}",
        f"-blocks-storage.tsdb.dir={folder / 'tsdb'}",
        f"-blocks-storage.bucket-store.sync-dir={folder / 'sync'}",
        "-blocks-storage.bucket-store.bucket-index.enabled=false",
        "-compactor.enabled-tenants=nobody",
        f"-compactor.data-dir={folder / 'compactor'}",
        f"-querier.active-query-tracker-dir={folder / 'queries'}",
        "-ring.store=inmemory",
        "-store-gateway.sharding-ring.store=inmemory",
        "-store-gateway.sharding-ring.instance-addr=127.0.0.1",
        *(f"-{part}.ring.store=inmemory" for part in _RINGS),
        *(f"-{part}.ring.instance-addr=127.0.0.1" for part in _RINGS),
        "-ingester.lifecycler.addr=127.0.0.1",
        "-distributor.replication-factor=1",
        "-ingester.min-ready-duration=0s",
        "-ruler-storage.backend=local",
        f"-ruler-storage.local.directory={folder / 'rules'}",
        "-ruler.enable-api",
        f"-ruler.rule-path={folder / 'ruler'}",
        "-alertmanager.web.external-url=http://127.0.0.1/alertmanager",
        "-alertmanager-storage.backend=local",
        f"-alertmanager-storage.local.path={folder / 'alertmanagers'}",
        f"-alertmanager.storage.path={folder / 'alertmanager'}",
        "-alertmanager.cluster.listen-address=",
    ]


def _wait(url: str, process: subprocess.Popen[bytes], log: Path, *, filled: bool) -> None:
    """Wait until it answers, with what it has been given."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            _DIRECT.open(f"{url}/ready", timeout=5).close()
            if not filled or _has_hosts(f"{url}/prometheus"):
                return
        time.sleep(0.1)
    raise AssertionError(f"Cortex does not get ready\n{log.read_text()}")


def _has_hosts(url: str) -> bool:
    """Return whether the blocks are found."""
    with remote(settings(TENANT), url) as querier:
        return bool(querier.range('count({job="inferwatch"})', END - 120, END - 60, 60.0).series)
