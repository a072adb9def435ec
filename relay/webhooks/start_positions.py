"""Stores where new webhooks begin, before mail is accepted. Loads nothing that posts."""

from collections.abc import Sequence

from relay.config.webhooks import Webhook
from relay.webhooks.feed import EventFeed
from relay.webhooks.filters import senders_of
from relay.webhooks.ports import WebhookStore


async def store_start_positions(webhooks: Sequence[Webhook], feed: EventFeed, store: WebhookStore, now: float) -> None:
    """Store where webhooks begin that have no place in the feed yet. Raises StoreError."""
    if webhooks:
        end = await feed.end()
        for webhook in webhooks:
            await store.begin(webhook.name, end, now, senders_of(webhook))
