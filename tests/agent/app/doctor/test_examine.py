"""The whole examination of this host, with the agent's own sources."""

from dataclasses import replace
from pathlib import Path

from agent.app.doctor import Finding, State, examine
from agent.config import Settings
from agent.config.settings import (
    Collectors,
    Dcgm,
    Discovery,
    Exporters,
    History,
    Http,
    Nvml,
    Source,
)
from agent.model import ConfigError
from tests.fakes.clock import ManualClock

OFF = Source(enabled=False)
QUIET = Collectors(
    nvml=Nvml(enabled=False),
    dcgm=Dcgm(enabled=False),
    discovery=Discovery(enabled=False),
    kernel_log=OFF,
    engine_ends=OFF,
    processes=OFF,
)
SETTINGS = replace(
    Settings(),
    collectors=QUIET,
    exporters=Exporters(http_api=Http(listen=())),
    history=History(enabled=False),
)


async def found_with(settings: Settings | ConfigError, config: Path | None = None) -> list[Finding]:
    """Return all that is found."""
    return [one async for one in examine(settings, config=config, clock=ManualClock())]


async def test_a_host_with_neither_gpu_nor_engine():
    """The host is watched, nothing is broken, and each thing that is missing has a price."""
    found = {one.topic: one for one in await found_with(SETTINGS)}
    assert found["configuration"].state is State.OK
    assert found["host"].state is State.OK
    assert "CPUs" in found["host"].found
    assert found["engines"].state is State.MISSING
    assert not [one for one in found.values() if one.state is State.BROKEN]
    assert all(one.costs for one in found.values() if one.state is State.MISSING)


async def test_rule_files_belong_to_the_configuration(tmp_path: Path):
    """A rule file that is not there is found before an agent refuses to start."""
    alerts = replace(SETTINGS.alerts, rule_files=(tmp_path / "none.yml",))
    first = (await found_with(replace(SETTINGS, alerts=alerts)))[0]
    assert (first.topic, first.state) == ("configuration", State.BROKEN)
    assert "none.yml" in first.found


async def test_the_web_configuration_is_looked_at(tmp_path: Path):
    """What keeps the service from starting is found, certificates included."""
    http_api = Http(listen=(), web_config=tmp_path / "none.yml")
    found = await found_with(replace(SETTINGS, exporters=Exporters(http_api=http_api)))
    (broken,) = (one for one in found if one.topic == "web configuration")
    assert (broken.state, "none.yml" in broken.found) == (State.BROKEN, True)
