"""Queries in the sandbox of the service."""

import json
from typing import Any

import pytest

from tests.systemd.container import Container

pytestmark = pytest.mark.systemd

PYTHON = "/opt/inferwatch/venv/bin/python"


def _ask(service: Container, path: str) -> Any:
    """Return the JSON of an answer."""
    url = f"http://127.0.0.1:9745/api/v1/{path}"
    ask = f"import urllib.request as u; print(u.urlopen('{url}', timeout=60).read().decode())"
    return json.loads(service.out(f'{PYTHON} -I -c "{ask}"', timeout=90))


def test_the_service_answers_queries(service: Container):
    """The process starts, reads the file and what the agent lends, and ends with the service."""
    found = _ask(service, "query?query=count_over_time(up[10m])")
    children = service.out("pgrep --full [a]gent.queries.child").split()
    limits = service.out(f"cat /proc/{children[0]}/limits")
    score = service.out(f"cat /proc/{children[0]}/oom_score_adj")

    assert "warnings" not in found
    assert int(found["data"]["result"][0]["value"][1]) >= 1
    assert len(children) == 1
    assert f"{256 * 2**20}" in limits
    assert score == "1000"
    service.out("systemctl stop inferwatch")
    assert service.sh("pgrep --full [a]gent.queries.child").stdout.strip() == ""
    service.out("systemctl start inferwatch")
