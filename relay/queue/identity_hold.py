"""Holds back queued mail of paused identities."""

from relay.queue.message import ClaimedBatch, Message, Settlement
from relay.queue.pause import IDENTITY_PAUSED, Pause
from relay.queue.routing import Route, provider_of, reschedule

WAIT = 900.0
"""Seconds after which an entry of a paused identity is looked at again; a resumption makes it due at once."""


def is_held_back(message: Message) -> bool:
    """Whether pauses of identities apply: to mail of applications, not to tests, notifications and forwarded mail."""
    return bool(message.policy.identity) and not message.origin


def held_back(claimed: ClaimedBatch, pause: Pause, now: float) -> Settlement:
    """Return the settlement by which the entries wait, without an attempt. They keep their lifetime."""
    why = f"{IDENTITY_PAUSED}{pause.why}"
    return Settlement(
        tuple(reschedule(entry, Route(provider_of(entry.lane), now + WAIT, why), now) for entry in claimed.entries)
    )
