"""Those who are told of alerts, as the settings have them."""

from agent.config.settings import Settings
from agent.model import Clock
from exporters import alertmanager, keep, webhook
from exporters.receivers import Channel


def channels_of(settings: Settings, *, clock: Clock, external_url: str) -> list[Channel]:
    """Return the ways to all receivers that the settings name.

    Args:
        settings: whom to tell.
        clock: says when an alert is told.
        external_url: where people find the agent's page.
    """
    told = settings.exporters
    return [
        *(
            Channel(
                kind=alertmanager.KIND,
                name=one.name,
                url=one.url,
                sender=alertmanager.Alertmanager(one),
                made_of=one,
                timeout=one.timeout,
                spool_size=told.alertmanager.spool_size,
            )
            for one in told.alertmanager.receivers
        ),
        *(
            Channel(
                kind=keep.KIND,
                name=one.name,
                url=one.url,
                sender=keep.Keep(one, clock=clock),
                made_of=one,
                timeout=one.timeout,
                spool_size=told.keep.spool_size,
                repeat=one.repeat,
            )
            for one in told.keep.receivers
        ),
        *(
            Channel(
                kind=webhook.KIND,
                name=one.name,
                url=one.url,
                sender=webhook.Webhook(one, external_url=external_url),
                made_of=(one, external_url),
                timeout=one.timeout,
                spool_size=told.webhook.spool_size,
                batch=1,
                repeat=one.repeat,
            )
            for one in told.webhook.receivers
        ),
    ]
