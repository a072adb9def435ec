"""Checks the exclusion lists before sending: recipients may have been excluded while the message waited."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from relay.events.event import Event, Kind
from relay.mail.canonical import canonical
from relay.policy import exclusion_scope
from relay.queue.context import STORE_RETRY, QueueContext
from relay.queue.entry import Entry, State, move
from relay.queue.message import ClaimedBatch, Message, Settlement
from relay.queue.ports import StoreError

RECENT = 5.0
"""Seconds after acceptance in which its check still counts. Mail that is sent at once is not checked twice."""


async def drop_excluded(tools: QueueContext, claimed: ClaimedBatch) -> tuple[ClaimedBatch, Settlement]:
    """Return the entries that may be sent, and the settlement that drops the others and releases their slots.

    Notifications, forwarded mail and copies are exempt: their recipients are on no list.
    """
    message, now = claimed.message, tools.clock()
    if not message.reverse_path or message.policy.forward_domain or _just_looked(claimed, now):
        return claimed, Settlement(())
    asked = [entry for entry in claimed.entries if entry.number not in message.policy.copies]
    reasons = await _reasons(tools, message, asked, now)
    dropped = [entry for entry in asked if canonical(entry.recipient) in reasons]
    if not dropped:
        return claimed, Settlement(())
    await _insist_on_forgetting(tools, message.queue_id, dropped)
    numbers = {entry.number for entry in dropped}
    staying = tuple(entry for entry in claimed.entries if entry.number not in numbers)
    return replace(claimed, entries=staying), _dropping(message, dropped, reasons, now)


def _just_looked(claimed: ClaimedBatch, now: float) -> bool:
    recent = now - claimed.message.created_at < RECENT
    return recent and not any(entry.attempts or entry.release_at for entry in claimed.entries)


def _dropping(message: Message, dropped: list[Entry], reasons: Mapping[str, str], now: float) -> Settlement:
    """Return the settlement that drops these entries of the message."""
    whose = {"identity": message.policy.identity, "domain": message.policy.domain}
    entries = tuple(
        replace(move(entry, State.DROPPED), reason=reasons[canonical(entry.recipient)]) for entry in dropped
    )
    events = tuple(
        Event(Kind.DROPPED, now, entry.queue_id, entry.number, entry.recipient, whose | {"reason": entry.reason})
        for entry in entries
    )
    return Settlement(entries, events)


async def _reasons(tools: QueueContext, message: Message, entries: list[Entry], now: float) -> Mapping[str, str]:
    mailing = exclusion_scope(tools.settings(), message.policy.domain, message.campaign)
    while True:
        try:
            return await tools.exclusion.reasons([entry.recipient for entry in entries], mailing, now)
        except StoreError as error:
            await _trouble(tools, error)


async def _insist_on_forgetting(tools: QueueContext, queue_id: str, entries: list[Entry]) -> None:
    while True:
        try:
            await tools.limits.release(queue_id, [entry.number for entry in entries])
        except StoreError as error:
            await _trouble(tools, error)
        else:
            return


async def _trouble(tools: QueueContext, error: StoreError) -> None:
    tools.watch.store_trouble(error)
    await asyncio.sleep(STORE_RETRY)
