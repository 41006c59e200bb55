"""A real Keep is told of alerts: needs the `bin` folder of an environment with keephq.

Set INFERWATCH_TEST_KEEP to it. What Keep stores is what people and workflows see there.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from agent.config.receivers import KeepReceiver
from agent.config.secret import Secret
from agent.model import Alert, SourceError
from agent.service import SystemClock
from exporters.keep import Keep
from tests.e2e.process import free_port
from tests.servers import found

PROGRAM = found("keep", at="INFERWATCH_TEST_KEEP")
WORKFLOWS = Path(__file__).parents[2] / "deploy" / "keep"

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(PROGRAM is None, reason="needs keep on the PATH or in INFERWATCH_TEST_KEEP"),
]

# Whatever proxy this machine is told to use, the server is on it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Real:
    """A running Keep.

    Attributes:
        url: of its API.
        token: of its first user.
        key: a file with its key for senders.
    """

    url: str
    token: str
    key: Path

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> Any:
        """Return an answer, asked as the first user."""
        request = urllib.request.Request(
            self.url + path, body, {"Authorization": f"Bearer {self.token}", **headers}
        )
        with _DIRECT.open(request, timeout=20) as answer:
            return json.load(answer)

    def alerts(self) -> list[dict[str, Any]]:
        """Return the newest event of each alert."""
        key = {"X-API-KEY": self.key.read_text()}
        with _DIRECT.open(urllib.request.Request(f"{self.url}/alerts", None, key)) as answer:
            events = sorted(json.load(answer), key=lambda one: one["lastReceived"])
        return [*{one["fingerprint"]: one for one in events}.values()]

    def until(self, wanted: set[tuple[str, str]]) -> list[dict[str, Any]]:
        """Wait until the alerts of these hosts have these states: Keep stores after it answered."""
        end = time.monotonic() + 20
        while True:
            alerts = self.alerts()
            told = {(one["labels"]["instance"], one["status"]) for one in alerts}
            if told == wanted or time.monotonic() > end:
                assert told == wanted
                return alerts
            time.sleep(0.1)


@pytest.fixture(scope="module")
def keep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """A Keep with one tenant that asks for keys, on a database of its own."""
    folder, port = tmp_path_factory.mktemp("keep"), free_port()
    (folder / "state").mkdir()
    environment = {
        **os.environ,
        "AUTH_TYPE": "SINGLE_TENANT",
        "DATABASE_CONNECTION_STRING": f"sqlite:///{folder / 'keep.db'}",
        "DISABLE_POSTHOG": "true",
        "KEEP_API_URL": f"http://127.0.0.1:{port}",
        "KEEP_HOST": "127.0.0.1",
        "KEEP_JWT_SECRET": "of-a-test",
        "NO_PROXY": "*",
        "PORT": str(port),
        "PUSHER_DISABLED": "true",
        "SECRET_MANAGER_DIRECTORY": str(folder / "state"),
        "SECRET_MANAGER_TYPE": "FILE",
    }
    log = folder / "keep.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [str(PROGRAM), "api"], stdout=said, stderr=said, cwd=folder, env=environment
        )
    try:
        real = Real(f"http://127.0.0.1:{port}", "", folder / "key")
        body = json.dumps({"username": "keep", "password": "keep"}).encode()
        end = time.monotonic() + 90
        while not real.token and time.monotonic() < end:
            with contextlib.suppress(OSError):
                answer = real.ask("/signin", body, **{"Content-Type": "application/json"})
                real.token = answer["accessToken"]
            time.sleep(0.2)
        assert real.token, log.read_text()
        real.key.write_text(real.ask("/settings/apikey")["apiKey"])
        yield real
    finally:
        # It waits for its own threads, which do not end, when it is asked to.
        process.kill()
        process.wait(timeout=30)


def _down(host: str) -> Alert:
    """Return an alert of a host that fires."""
    now = SystemClock().time()
    return Alert(
        labels={"alertname": "EngineDown", "severity": "page", "instance": host},
        annotations={"summary": "chat | down", "numbers": "up: 0"},
        starts_at=now - 60.0,
        ends_at=now + 240.0,
        resolved=False,
        generator_url="http://gpu7:9745/?alert=EngineDown",
    )


async def test_alerts_begin_and_end(keep: Real):
    """Two of one name stay two; what is told again stays one; the end of one is its end alone."""
    one, other = _down("gpu7:9745"), _down("gpu8:9745")
    sender = Keep(
        KeepReceiver(name="keep", url=keep.url, api_key=Secret(file=keep.key)), clock=SystemClock()
    )
    try:
        assert (await sender.send([one, other])).startswith("20")
        both = {("gpu7:9745", "firing"), ("gpu8:9745", "firing")}
        alerts = await asyncio.to_thread(keep.until, both)
        assert {one["fingerprint"] for one in alerts} == {one.fingerprint, other.fingerprint}
        assert {one["severity"] for one in alerts} == {"critical"}
        assert {one["name"] for one in alerts} == {"EngineDown"}
        assert {one["message"] for one in alerts} == {"chat | down"}
        await sender.send([one])
        await sender.send([replace(one, ends_at=SystemClock().time(), resolved=True)])
        ended = {("gpu7:9745", "resolved"), ("gpu8:9745", "firing")}
        await asyncio.to_thread(keep.until, ended)
    finally:
        await sender.aclose()


async def test_a_wrong_key_is_told(keep: Real, tmp_path: Path):
    """With the status and with what to set."""
    (tmp_path / "key").write_text("nobody's")
    receiver = KeepReceiver(name="keep", url=keep.url, api_key=Secret(file=tmp_path / "key"))
    sender = Keep(receiver, clock=SystemClock())
    try:
        with pytest.raises(SourceError, match=r"401 .*set api_key"):
            await sender.send([_down("gpu9:9745")])
    finally:
        await sender.aclose()


@pytest.mark.parametrize("name", ["open-ticket", "close-ticket"])
def test_the_example_workflows_are_taken(keep: Real, name: str):
    """Keep's own parser has nothing to say, and finds what triggers and what acts."""
    text = (WORKFLOWS / f"{name}.yaml").read_bytes()
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="w.yaml"\r\n\r\n'
    keep.ask(
        "/workflows",
        body + text + b"\r\n--x--\r\n",
        **{"Content-Type": "multipart/form-data; boundary=x"},
    )
    known = {one["name"]: one for one in keep.ask("/workflows")}
    workflow = known[f"inferwatch-{name}"]
    assert [one["type"] for one in workflow["triggers"]] == ["alert"]
    assert [one["type"] for one in workflow["providers"]] == ["jira"]
