"""A real VictoriaMetrics that has simulated hosts in its history, and what vmalert records."""

import contextlib
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from tests.e2e import fleet
from tests.e2e.process import free_port
from tests.fakes.fleet import Host, openmetrics
from tests.servers import VICTORIAMETRICS, VMAGENT, VMALERT

# Whatever proxy this machine is told to use, the server is on it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(url: str, body: bytes = b"") -> None:
    """Send a request; its answer is not looked at, its status must be a good one."""
    _DIRECT.open(urllib.request.Request(url, body), timeout=60).close()


@contextlib.contextmanager
def victoriametrics(folder: Path, *options: str) -> Iterator[str]:
    """Keep a VictoriaMetrics running and yield its address.

    Args:
        folder: for its data and its log.
        options: further ones of its command line.

    Raises:
        AssertionError: it does not get ready.
    """
    address = f"127.0.0.1:{free_port()}"
    command = [
        VICTORIAMETRICS,
        f"-storageDataPath={folder / 'victoria-data'}",
        f"-httpListenAddr={address}",
        "-retentionPeriod=100y",
        "-search.latencyOffset=0s",  # by itself it hides the last 30 s
        "-loggerLevel=WARN",
        *options,
    ]
    log = folder / "victoria.log"
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end:
                with contextlib.suppress(OSError):
                    post(f"http://{address}/health")
                    break
                time.sleep(0.05)
            else:
                raise AssertionError(f"VictoriaMetrics does not get ready\n{log.read_text()}")
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(timeout=30)


@contextlib.contextmanager
def vmagent(folder: Path, config: str, url: str) -> Iterator[None]:
    """Keep a vmagent scraping that writes to a VictoriaMetrics.

    Args:
        folder: for its configuration, its queue and its log.
        config: as of Prometheus.
        url: of the VictoriaMetrics.
    """
    file = folder / "vmagent.yml"
    file.write_text(config)
    command = [
        VMAGENT,
        f"-promscrape.config={file}",
        f"-remoteWrite.url={url}/api/v1/write",
        f"-remoteWrite.tmpDataPath={folder / 'vmagent-data'}",
        f"-httpListenAddr=127.0.0.1:{free_port()}",
        "-remoteWrite.flushInterval=100ms",
        "-loggerLevel=WARN",
    ]
    with (folder / "vmagent.log").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def fill(url: str, several: Sequence[Host], start: float, end: float, *, step: float) -> None:
    """Import what hosts said in [start, end), with times in milliseconds."""
    lines = []
    for line in "".join(openmetrics(several, start, end, step=step)).splitlines():
        if not line.startswith("#"):
            sample, _, stamp = line.rpartition(" ")
            lines.append(f"{sample} {round(float(stamp) * 1000)}\n")
    post(f"{url}/api/v1/import/prometheus", "".join(lines).encode())
    post(f"{url}/internal/force_flush")


def record(url: str, folder: Path, start: float, end: float) -> None:
    """Have vmalert evaluate the rules of a fleet on the history, each minute.

    Played again it does not wait for what it has written itself, hence stage by stage.
    """
    for number, rules in enumerate(fleet.stages()):
        file = folder / f"stage-{number}.yml"
        group = {"name": "stage", "interval": "1m", "rules": rules}
        file.write_text(yaml.safe_dump({"groups": [group]}))
        done = subprocess.run(
            [
                VMALERT,
                f"-rule={file}",
                f"-datasource.url={url}",
                f"-remoteWrite.url={url}",
                f"-replay.timeFrom={_moment(start)}",
                f"-replay.timeTo={_moment(end)}",
                "-replay.rulesDelay=0s",
                "-replay.disableProgressBar",
                "-httpListenAddr=127.0.0.1:0",
                "-notifier.blackhole",
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        post(f"{url}/internal/force_flush")


def _moment(stamp: float) -> str:
    """Return a time as vmalert reads it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp))
