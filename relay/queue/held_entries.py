"""Holds back queued mail of paused identities, campaigns, recipient domains, providers and sites. Pure."""

from collections.abc import Iterable, Sequence

from relay.mail.canonical_address import domain_of
from relay.queue.entry import Entry
from relay.queue.message import Message, Settlement
from relay.queue.pause import Pause, subject_of
from relay.queue.routing import Route, provider_of, reschedule

WAIT = 900.0
"""Seconds after which a held entry is looked at again, at most; a resumption makes it due at once."""


def hold_subjects(message: Message, entry: Entry, site: str) -> Iterable[str]:
    """Yield the subjects whose pause holds an entry back. `site` is "" for one that is not known.

    Pauses of identities and campaigns apply to mail of applications, not to tests, notifications and forwarded mail.
    """
    if not message.origin:
        if message.policy.identity:
            yield subject_of("identity", message.policy.identity)
        if message.campaign:
            yield subject_of("campaign", message.campaign)
    yield subject_of("domain", domain_of(entry.recipient))
    yield subject_of("provider", provider_of(entry.lane))
    if site:
        yield subject_of("site", site)


def held_back(held: Sequence[tuple[Entry, Pause]], now: float) -> Settlement:
    """Return the settlement by which the entries wait, without an attempt. They keep their lifetime."""
    return Settlement(tuple(_held(entry, pause, now) for entry, pause in held))


def _held(entry: Entry, pause: Pause, now: float) -> Entry:
    until = min(now + WAIT, pause.until) if pause.until else now + WAIT
    return reschedule(entry, Route(provider_of(entry.lane), until, pause.reason), now)
