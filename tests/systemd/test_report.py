"""The daily report as its unit makes it, in its sandbox."""

import json

import pytest

from tests.systemd.asked import asked
from tests.systemd.container import Container

pytestmark = pytest.mark.systemd

HISTORY = "/var/lib/inferwatch/history.db"
WRITE = (
    "import sys; sys.path.insert(0, '/src'); from pathlib import Path;"
    f"from tests.agent.report.made_up import write; write(Path('{HISTORY}'), days=0.1)"
)


def test_a_report_lies_in_the_folder(host: Container):
    """As the service's user, from its history, without a complaint; and the timer has a time."""
    host.out("systemctl stop inferwatch && rm -f /var/lib/inferwatch/history.db*")
    python = "/opt/inferwatch/venv/bin/python"
    host.out(f'runuser -u inferwatch -- {python} -c "{WRITE}"', timeout=120)

    started = host.sh("systemctl start inferwatch-report || journalctl -u inferwatch-report")

    assert started.stdout == ""
    names = host.out("ls /var/lib/inferwatch/reports").split()
    assert [name.partition(".")[2] for name in names] == ["html", "json"]
    document = json.loads(host.out(f"cat /var/lib/inferwatch/reports/{names[1]}"))
    assert document["schema"] == "inferwatch.report/1"
    assert host.out(f"stat --format='%U %a' /var/lib/inferwatch/reports/{names[0]}") == (
        "inferwatch 600"
    )
    host.out("systemctl start inferwatch-report.timer")
    assert "inferwatch-report.service" in host.out("systemctl list-timers --no-pager")
    host.out("systemctl stop inferwatch-report.timer && systemctl start inferwatch")


def test_the_service_answers_with_a_report(host: Container):
    """Its sandbox lets the process be nice, write and read what it needs."""
    python = "/opt/inferwatch/venv/bin/python"
    host.out("systemctl stop inferwatch && rm -f /var/lib/inferwatch/history.db*")
    host.out(f'runuser -u inferwatch -- {python} -c "{WRITE}"', timeout=120)
    host.out("systemctl start inferwatch")

    document = asked(host, "report?to=2027-01-18T02:00Z")

    assert [one["instance_name"] for one in document["subjects"]] == ["edge", "chat"]
