"""Holds entries whose stored message is damaged: nothing but what was accepted is ever sent. Pure."""

from dataclasses import replace

from relay.events.event import Event, Kind
from relay.queue.entry import State, move
from relay.queue.message import ClaimedBatch, Settlement, owner_fields


def hold_damaged(claimed: ClaimedBatch, now: float) -> Settlement:
    """Return the settlement that holds the entries of a damaged batch, with an event for each.

    An operator deletes them, or releases them after the store was restored. A release is checked again.
    """
    entries = tuple(replace(move(entry, State.HELD), reason=claimed.damage) for entry in claimed.entries)
    events = tuple(
        Event(
            Kind.HELD,
            now,
            entry.queue_id,
            entry.number,
            entry.recipient,
            owner_fields(claimed.message, entry.number) | {"reason": entry.reason},
            claimed.message.labels,
        )
        for entry in entries
    )
    return Settlement(entries, events)
