"""A report over a fleet as one page that needs nothing else."""

from agent.report import words
from agent.report.fleet.blocks import SHOWN, beginning, endings, overview, title
from agent.report.html import block, section, wrapped
from agent.report.plot.svg import element
from agent.report.plot.svg import words as escaped
from agent.report.report import Report


def page(report: Report) -> str:
    """Return the page; as text, the groups that are not shown in full are in the table."""
    document = report.document
    said = title(document)
    body = [
        element("h1", {}, escaped(said)),
        *(element("p", {"class": "when"}, escaped(one)) for one in beginning(document)),
        *map(block, overview(document)),
        *(section(place, one) for place, one in enumerate(report.sections[: SHOWN + 1])),
        element("section", {}, *map(block, endings(document))),
    ]
    made = words.moment(document["generated_timestamp_seconds"])
    foot = f"Made {made} by inferwatch {document['agent_version']}; all times are UTC."
    body.append(element("footer", {}, escaped(foot)))
    return wrapped(said, body)
