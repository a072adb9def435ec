"""Which events a webhook or a reader of the feed gets. Pure."""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from hashlib import blake2b

from relay.config.webhooks import Webhook
from relay.events.event import Event, Kind
from relay.mail.canonical_address import canonical
from relay.queue.message import Message
from relay.webhooks.feed import StoredEvent

_KINDS = frozenset(kind.value for kind in Kind)


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that an event must meet, all of them; an empty one is met by all."""

    kinds: frozenset[str] = _KINDS
    domains: frozenset[str] = frozenset()
    identities: frozenset[str] = frozenset()
    """Canonical addresses."""
    campaigns: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    type: str = "any"
    machines: bool = True
    """Whether requests of machines and of proxies pass."""
    since: float = 0.0
    """Unix seconds of the first event."""

    def passes(self, stored: StoredEvent) -> bool:
        """Whether an event meets the conditions."""
        event, message = stored.event, stored.message
        if event.kind.value not in self.kinds or event.at < self.since or not is_reported(event, message):
            return False
        if not self.machines and (event.data.get("machine") or event.data.get("proxied")):
            return False
        if self.domains and _of(message, event, "domain") not in self.domains:
            return False
        if self.identities and canonical(_of(message, event, "identity")) not in self.identities:
            return False
        return self._passes_labels(message)

    def _passes_labels(self, message: Message | None) -> bool:
        campaign = message.campaign if message else ""
        if self.type != "any" and (message is None or bool(campaign) is not (self.type == "campaign")):
            return False
        if self.campaigns and campaign not in self.campaigns:
            return False
        return not self.tags or (message is not None and not self.tags.isdisjoint(message.tags))


def filter_of(webhook: Webhook) -> Filter:
    """Return the conditions of a webhook. Without `events` it gets all events of messages."""
    return Filter(
        kinds=_KINDS & frozenset(webhook.events) if webhook.events else _KINDS,
        domains=frozenset(webhook.domains),
        identities=frozenset(map(canonical, webhook.identities)),
        campaigns=frozenset(webhook.campaigns),
        tags=frozenset(webhook.tags),
        type=webhook.type,
        machines=webhook.machines == "labelled",
    )


def senders_of(webhook: Webhook) -> str:
    """Return a digest of the senders whose events a webhook gets."""
    names = [sorted(set(webhook.domains)), sorted(set(map(canonical, webhook.identities)))]
    return blake2b(json.dumps(names).encode(), digest_size=16, person=b"relay.webhook").hexdigest()


def is_reported(event: Event, message: Message | None) -> bool:
    """Whether an event concerns mail of applications.

    Left out are mail of the relay itself, copies (`bcc`), mail that was not sent at all, and reports without proof. A
    stranger could have written them.
    """
    own = event.data.get("origin") or event.data.get("copy") or event.data.get("unproven")
    if own:
        return False
    return message is None or not (message.origin or event.number in message.policy.copies)


_NOTHING = frozenset({"\0"})
"""Matches no address and no domain."""


def restricted_to_domains(found: Filter, domains: Collection[str]) -> Filter:
    """Return the filter for a reader that may see the events of these canonical domains only."""
    kept = found.domains & frozenset(domains) if found.domains else frozenset(domains)
    return replace(found, domains=kept or _NOTHING)


def restricted(found: Filter, identities: Collection[str]) -> Filter:
    """Return the filter for a reader that may see the events of these identities only."""
    allowed = frozenset(map(canonical, identities))
    kept = found.identities & allowed if found.identities else allowed
    return replace(found, identities=kept or _NOTHING)


def _of(message: Message | None, event: Event, name: str) -> str:
    policy = message.policy if message else None
    own = "" if policy is None else policy.domain if name == "domain" else policy.identity
    return own or str(event.data.get(name, ""))
