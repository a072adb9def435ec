"""An event: one thing that happened to one recipient of one message."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from relay.frozen import dataclass


class Kind(StrEnum):
    """Kinds of events, by the names that users see."""

    CREATED = "created"
    PROCESSED = "processed"
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    DROPPED = "dropped"
    HELD = "held"
    """Held because the stored message is damaged. An operator who holds an entry causes no event."""
    OPEN = "open"
    CLICK = "click"
    REPLY = "reply"
    UNSUBSCRIBE = "unsubscribe"
    COMPLAINT = "complaint"
    FEEDBACK = "feedback"
    """A feedback report that is no complaint: auth-failure (RFC 6591), not-spam (RFC 6430), opt-out, virus, other."""


READER_KINDS = frozenset({Kind.OPEN, Kind.CLICK, Kind.UNSUBSCRIBE})
"""Kinds of events that readers cause at the tracker."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `number` is the index in the message; `address` may be "" where only a token is available.

    `at` is in Unix seconds. `data` holds fields particular to the kind, JSON values only. `labels` are those of the
    message, for the log; they are not stored with the event.
    """

    kind: Kind
    at: float
    queue_id: str
    number: int
    address: str = ""
    data: Mapping[str, object] = field(default_factory=dict)
    labels: Mapping[str, object] = field(default_factory=dict, compare=False)
