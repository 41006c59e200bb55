"""What a recorder shares with the service beside which it runs."""

from dataclasses import replace
from pathlib import Path

from agent.commands.record import without_services
from agent.config import Listen, Settings
from agent.config.settings import Exporters, Http


def test_who_may_ask_a_recorder():
    """The same people who may ask the service; where nothing is served, its keys are not read."""
    web_config = Path("/etc/inferwatch/web.yml")
    http_api = Http(listen=(Listen("", 9745),), web_config=web_config)
    settings = replace(Settings(), exporters=Exporters(http_api=http_api))
    served = without_services(settings, listen=[Listen("", 9746)]).exporters.http_api
    assert (served.listen, served.web_config) == ((Listen("", 9746),), web_config)
    assert without_services(settings, listen=()).exporters.http_api.web_config is None
