"""Checks the exclusion lists before sending: a recipient may have been excluded while the message waited."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from relay.events.event import Event, Kind
from relay.events.ports import StoreError
from relay.mail.canonical_address import canonical
from relay.policy.decide import exclusion_scope
from relay.queue.context import STORE_RETRY, QueueContext
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
    reasons = await _reasons(context, message, checked, now)
    dropped = [entry for entry in checked if canonical(entry.recipient) in reasons]
    if not dropped:
        return claimed, Settlement(())

    await _release_slots(context, message.queue_id, dropped)
    numbers = {entry.number for entry in dropped}
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


async def _reasons(context: QueueContext, message: Message, entries: list[Entry], now: float) -> Mapping[str, str]:
    scope = exclusion_scope(context.settings(), message.policy.domain, message.campaign)
    while True:
        try:
            return await context.exclusion.reasons([entry.recipient for entry in entries], scope, now)
        except StoreError as error:
            await _pause_after(context, error)


async def _release_slots(context: QueueContext, queue_id: str, entries: list[Entry]) -> None:
    while True:
        try:
            await context.limits.release(queue_id, [entry.number for entry in entries])
        except StoreError as error:
            await _pause_after(context, error)
        else:
            return


async def _pause_after(context: QueueContext, error: StoreError) -> None:
    context.watch.store_trouble(error)
    await asyncio.sleep(STORE_RETRY)
