"""Checks the exclusion lists before sending: a recipient may have been excluded while the message waited.

An address whose suppression ended is on probation: one message tests it, all others wait for its result.
"""

from collections.abc import Mapping
from dataclasses import replace

from relay.events.event import Event, Kind
from relay.mail.canonical_address import canonical
from relay.policy.decide import exclusion_scope
from relay.queue.context import QueueContext, retry_store
from relay.queue.entry import Entry, State, move
from relay.queue.message import NOTHING_SETTLED, ClaimedBatch, Message, Settlement, owner_fields
from relay.queue.routing import Route, provider_of, reschedule
from relay.suppression.exclusion import Excluded

RECENT = 5.0
"""Seconds after acceptance during which the check at acceptance still counts, so that most mail is checked once."""

PROBATION_WAIT = 60.0
"""Seconds between two checks of a message that waits for the result of another one."""


async def drop_excluded(context: QueueContext, claimed: ClaimedBatch) -> tuple[ClaimedBatch, Settlement]:
    """Return the entries that may be sent, and the settlement of the others, whose slots are released.

    It drops those that are excluded; those that wait for a probation are waiting again.

    Notifications, forwarded mail and copies are exempt: their recipients are on no list. So is mail that ignores lists,
    and to a word of the simulator alone.
    """
    message, now = claimed.message, context.clock()
    if not is_checked(claimed, now):
        return claimed, NOTHING_SETTLED

    words, copies = context.settings().simulator.words, message.policy.copies
    checked = [one for one in claimed.entries if one.number not in copies and not words.always_answers(one.recipient)]
    scope = exclusion_scope(context.settings(), message.policy, message.campaign)
    recipients = [entry.recipient for entry in checked]
    found = await retry_store(context, lambda: context.exclusion.check(recipients, scope, message.queue_id, now))
    dropped = [entry for entry in checked if canonical(entry.recipient) in found.reasons]
    waiting = [entry for entry in checked if canonical(entry.recipient) in found.testers]
    if not dropped and not waiting:
        return claimed, NOTHING_SETTLED

    numbers = [entry.number for entry in (*dropped, *waiting)]
    await retry_store(context, lambda: context.limits.release(message.queue_id, numbers))
    kept = tuple(entry for entry in claimed.entries if entry.number not in numbers)
    settlement = _drop(message, dropped, found.reasons, now)
    return replace(claimed, entries=kept), replace(settlement, entries=settlement.entries + _wait(waiting, found, now))


def is_checked(claimed: ClaimedBatch, now: float) -> bool:
    """Whether the lists apply to the message, and its check at acceptance is too old."""
    message = claimed.message
    if not message.reverse_path or message.policy.forward_domain or message.policy.ignores_lists:
        return False
    if now - message.created_at >= RECENT:
        return True
    return any(entry.attempts or entry.release_at for entry in claimed.entries)


def _wait(waiting: list[Entry], found: Excluded, now: float) -> tuple[Entry, ...]:
    """Return the entries as waiting until the next check. They keep their lifetime."""
    return tuple(
        reschedule(
            entry,
            Route(provider_of(entry.lane), now + PROBATION_WAIT, found.waits_for(canonical(entry.recipient))),
            now,
        )
        for entry in waiting
    )


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
