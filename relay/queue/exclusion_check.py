"""Checks the exclusion lists before sending: a recipient may have been excluded while the message waited."""

from collections.abc import Mapping
from dataclasses import replace

from relay.events.event import Event, Kind
from relay.mail.canonical_address import canonical
from relay.policy.decide import exclusion_scope
from relay.queue.context import QueueContext, retry_store
from relay.queue.entry import Entry, State, move
from relay.queue.message import ClaimedBatch, Message, Settlement, owner_fields

RECENT = 5.0
"""Seconds after acceptance during which the check at acceptance still counts, so that most mail is checked once."""


async def drop_excluded(context: QueueContext, claimed: ClaimedBatch) -> tuple[ClaimedBatch, Settlement]:
    """Return the entries that may be sent, and the settlement that drops the others and releases their slots.

    Notifications, forwarded mail and copies are exempt: their recipients are on no list.
    """
    message, now = claimed.message, context.clock()
    if not message.reverse_path or message.policy.forward_domain or _is_recent(claimed, now):
        return claimed, Settlement(())

    checked = [entry for entry in claimed.entries if entry.number not in message.policy.copies]
    scope = exclusion_scope(context.settings(), message.policy.domain, message.campaign)
    recipients = [entry.recipient for entry in checked]
    reasons = await retry_store(context, lambda: context.exclusion.reasons(recipients, scope, now))
    dropped = [entry for entry in checked if canonical(entry.recipient) in reasons]
    if not dropped:
        return claimed, Settlement(())

    numbers = [entry.number for entry in dropped]
    await retry_store(context, lambda: context.limits.release(message.queue_id, numbers))
    kept = tuple(entry for entry in claimed.entries if entry.number not in numbers)
    return replace(claimed, entries=kept), _drop(message, dropped, reasons, now)


def _is_recent(claimed: ClaimedBatch, now: float) -> bool:
    recent = now - claimed.message.created_at < RECENT
    return recent and not any(entry.attempts or entry.release_at for entry in claimed.entries)


def _drop(message: Message, dropped: list[Entry], reasons: Mapping[str, str], now: float) -> Settlement:
    """Return the settlement that drops these entries of the message. `reasons` has canonical addresses."""
    entries = tuple(
        replace(move(entry, State.DROPPED), reason=reasons[canonical(entry.recipient)]) for entry in dropped
    )
    events = tuple(
        Event(
            Kind.DROPPED,
            now,
            entry.queue_id,
            entry.number,
            entry.recipient,
            owner_fields(message, entry.number) | {"reason": entry.reason},
            message.labels,
        )
        for entry in entries
    )
    return Settlement(entries, events)
