"""Send one alert for real to every configured receiver, and say what each answered."""

import argparse
import asyncio

from agent.app.access import own_address
from agent.app.history import target_of
from agent.app.receivers import channels_of
from agent.commands.common import add_config_argument, config_path, settings_from
from agent.config import Settings
from agent.model import Alert, ConfigError, SourceError
from agent.service import SystemClock
from exporters.receivers import Channel

# Long enough to be seen, short enough that nobody has to silence it.
_LASTS = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_argument(parser)
    parser.add_argument("--severity", default="info", help="value of the label; info by default")
    parser.add_argument("--resolve", action="store_true", help="end the alert of the last call")


def run(arguments: argparse.Namespace) -> int:
    """Send it; 0 where every receiver took it.

    Raises:
        ConfigError: there is no receiver.
    """
    settings = settings_from(config_path(arguments))
    alert = _alert(settings, severity=arguments.severity, resolved=arguments.resolve)
    return 0 if asyncio.run(_send(settings, alert)) else 1


def _alert(settings: Settings, *, severity: str, resolved: bool) -> Alert:
    """Return the alert; its labels are the same at each call, so that it can be ended."""
    now = SystemClock().time()
    target = target_of(settings)
    labels = {
        **target.external,
        "alertname": "InferwatchTest",
        "job": target.job,
        "instance": target.instance,
        "severity": severity,
    }
    return Alert(
        labels=labels,
        annotations={
            "summary": f"A test of the alerts of {target.instance}; nothing is wrong",
            "description": "Sent by `inferwatch test-alert`. It ends by itself in two minutes.",
        },
        starts_at=now - 1.0,
        ends_at=now if resolved else now + _LASTS,
        resolved=resolved,
        generator_url=settings.alerts.external_url or own_address(settings, target.instance),
    )


async def _send(settings: Settings, alert: Alert) -> bool:
    """Send it to each receiver; return whether all took it.

    Raises:
        ConfigError: there is no receiver.
    """
    channels = channels_of(settings, clock=SystemClock(), external_url=alert.generator_url)
    if not channels:
        raise ConfigError(
            "there is no receiver: set exporters.alertmanager.receivers, exporters.keep.receivers "
            "or exporters.webhook.receivers"
        )
    return all([await _told(channel, alert) for channel in channels])


async def _told(channel: Channel, alert: Alert) -> bool:
    """Send it to one receiver and say what it answered; return whether it took it."""
    try:
        async with asyncio.timeout(channel.timeout):
            answer = await channel.sender.send([alert])
    except TimeoutError:
        print(f"{channel.name}: {channel.url} gave no answer within {channel.timeout:g}s")
    except SourceError as error:
        print(f"{channel.name}: {error}")
    else:
        print(f"{channel.name}: {channel.url} answered {answer}")
        return True
    finally:
        await channel.sender.aclose()
    return False
