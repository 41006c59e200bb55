"""The runbooks as the agent serves them."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from exporters.web.runbooks import runbooks
from exporters.web.seen import alert_of
from tests.runbooks import DOCUMENT, PAGE, rendered

RULES = Path(__file__).parents[3] / "agent" / "alerts" / "rules"


@pytest.fixture
async def client() -> "Iterator[TestClient[web.Request, web.Application]]":
    """Ask a server that has nothing else."""
    application = web.Application()
    application.router.add_get("/runbooks", runbooks)
    async with TestClient(TestServer(application)) as found:
        yield found


class Links(HTMLParser):
    """Collects what is led to, and where links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        given = dict(attrs)
        self.anchors += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if tag == "a" else []


def test_the_page_is_made_of_the_document():
    """`exporters/web/runbooks.html` is what `make docs` writes."""
    assert PAGE.read_text("utf-8") == rendered(DOCUMENT.read_text("utf-8"))


def test_every_shipped_alert_is_led_to():
    """The anchor in the rule is one of the page, and every link of the page leads somewhere."""
    found = Links()
    found.feed(PAGE.read_text("utf-8"))
    text = "".join(path.read_text("utf-8") for path in sorted(RULES.glob("*.yml")))
    wanted = set(re.findall(r"runbook_url: docs/runbooks\.md#(\w+)", text))
    assert len(wanted) > 50
    assert wanted <= set(found.anchors)
    assert len(found.anchors) == len(set(found.anchors))
    assert {link for link in found.links if not link.startswith("https://")} <= {
        f"#{anchor}" for anchor in found.anchors
    }


async def test_it_is_a_page_that_may_do_nothing(
    client: "TestClient[web.Request, web.Application]",
):
    """It is whole, in UTF-8, and its policy names no script."""
    answer = await client.get("/runbooks")
    text = await answer.text()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert '<h3 id="enginedown">EngineDown</h3>' in text
    assert text.endswith("</html>\n")


def test_markdown_becomes_text_and_links():
    """Markup within is text; what the agent does not serve is named instead of linked."""
    html = rendered(
        "# All\n\nSee [x](alerting.md#y), [z](https://e.example) and `<b>` <script>.\n\n"
        "## A part\n\n### It is\n*info.* **Means.** So.\n"
    )
    assert "See <code>docs/alerting.md</code>, " in html
    assert '<a href="https://e.example">z</a> and <code>&lt;b&gt;</code> &lt;script&gt;.' in html
    assert '<h3 id="it-is">It is</h3>' in html
    assert html.index("#a-part") < html.index('<h2 id="a-part">')


@pytest.mark.parametrize(
    ("ruleset", "link", "shown"),
    [
        ("inferwatch", "http://gpu-host:9745/runbooks#a", "/runbooks#a"),
        ("inferwatch", "https://proxy/one/runbooks#a", "https://proxy/one/runbooks#a"),
        (
            "inferwatch",
            "https://git/main/docs/runbooks.md#a",
            "https://git/main/docs/runbooks.md#a",
        ),
        ("", "https://wiki/runbooks#a", "https://wiki/runbooks#a"),
        ("mine", "docs/a.md", "docs/a.md"),
    ],
)
def test_where_an_alert_leads(ruleset: str, link: str, shown: str):
    """To this host for what it serves, whatever name others know it by; else as the rule says."""
    told = {
        "labels": {"alertname": "A", "ruleset": ruleset},
        "annotations": {"runbook_url": link},
        "state": "firing",
        "activeAt": "2027-01-15T08:00:00Z",
    }
    assert alert_of(told).runbook == shown
