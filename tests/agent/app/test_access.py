"""What the agent says of its web configuration: a metric, the log, and its own address."""

from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from agent.app.access import Access, own_address
from agent.catalog import agent as catalog
from agent.config import Settings
from agent.model import SeriesTable
from tests.fakes.certificates import HASH, write_certificate
from tests.fakes.clock import ManualClock


@pytest.fixture
def facts() -> dict[int, float]:
    """Return what the agent says of itself."""
    return {}


async def test_the_metric_and_the_log(tmp_path: Path, facts: dict[int, float]):
    """It is 1, 0 while a newer file is refused, and gone with the file; changes are said."""
    table = SeriesTable()
    series = table.intern(catalog.WEB_CONFIG_SUCCESS)
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users: {{alice: {HASH}}}")
    with structlog.testing.capture_logs() as said:
        access = Access(clock=ManualClock(), table=table, facts=facts)
        access.note()
        assert facts == {}
        access.guard.adopt(await access.guard.read(web))
        access.note()
        assert facts == {series: 1.0}
        web.write_text("basic_auth_users: {alice: hunter2-S3cr3t}")
        await access.guard.refresh()
        await access.guard.refresh()
        assert facts == {series: 0.0}
        web.write_text(f"basic_auth_users: {{bob: {HASH}}}")
        await access.guard.refresh()
        assert facts == {series: 1.0}
        access.guard.adopt(None)
        access.note()
        assert facts == {}
    assert [line["log_level"] for line in said] == ["error", "info"]
    assert "expected a bcrypt hash" in said[0]["reason"]
    assert "hunter2" not in str(said)


def _settings(web_config: Path | None) -> Settings:
    """Return settings with this web configuration."""
    settings = Settings()
    http_api = replace(settings.exporters.http_api, web_config=web_config)
    return replace(settings, exporters=replace(settings.exporters, http_api=http_api))


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        (None, "http"),
        ("", "http"),
        ("tls_server_config: {cert_file: server.crt, key_file: server.key}", "https"),
        ("broken: [", "http"),
    ],
)
def test_the_address_that_alerts_name(tmp_path: Path, text: str | None, scheme: str):
    """Links in alerts lead to where the agent is: over TLS if it has that."""
    write_certificate(tmp_path, "server")
    path = None
    if text is not None:
        path = tmp_path / "web.yml"
        path.write_text(text)
    assert own_address(_settings(path), "host:9745") == f"{scheme}://host:9745"
