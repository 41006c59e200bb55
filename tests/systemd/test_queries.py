"""Queries in the sandbox of the service."""

import pytest

from tests.systemd.asked import asked
from tests.systemd.container import Container

pytestmark = pytest.mark.systemd


def test_the_service_answers_queries(service: Container):
    """The process starts, reads the file and what the agent lends, and ends with the service."""
    found = asked(service, "query?query=count_over_time(up[10m])")
    children = service.out("pgrep --full [a]gent.queries.child").split()
    limits = service.out(f"cat /proc/{children[0]}/limits")
    score = service.out(f"cat /proc/{children[0]}/oom_score_adj")
    nice = service.out(f"ps -o ni= -p {children[0]}")

    assert "warnings" not in found
    assert int(found["data"]["result"][0]["value"][1]) >= 1
    assert len(children) == 1
    assert f"{256 * 2**20}" in limits
    assert score == "1000"
    assert int(nice) > 0
    service.out("systemctl stop inferwatch")
    assert service.sh("pgrep --full [a]gent.queries.child").stdout.strip() == ""
    service.out("systemctl start inferwatch")
