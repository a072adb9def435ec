"""Builds records of mail that was accepted and not forwarded, for `relay report untied`. Pure."""

from typing import Literal

from relay.events.event import Event, Kind
from relay.mail.authors import author_of
from relay.mail.canonical_address import domain_of
from relay.mail.headers import fields, first_text
from relay.mail.lane import DIRECT, lane_of
from relay.mail.transaction import Transaction
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.render.message_policy import MessagePolicy

NOT_FORWARDED = "not_forwarded"
"""Metadata key of these records; its value is the reason, "untied" or "spam"."""

Why = Literal["untied", "spam"]
""""untied": belongs to no message of this relay; "spam": is spam."""


def unforwarded(
    transaction: Transaction, address: str, why: Why, reason: str, queue_id: str, now: float, about: str = ""
) -> NewMessage:
    """Return a dropped message to `address`, one of relay's, with the reason in words.

    `about` is the queue id of the message it answers, "" for none. Reports exclude it from the users' mail, because it
    has a forward domain.
    """
    content, found = transaction.content, fields(transaction.content)
    labels = {NOT_FORWARDED: why, "answers": about}
    message = Message(
        queue_id=queue_id,
        created_at=now,
        reverse_path=transaction.envelope.reverse_path,
        policy=MessagePolicy(forward_domain=domain_of(address)),
        size=len(content),
        message_id=first_text(content, found, b"message-id"),
        header_from=author_of(content),
        subject=first_text(content, found, b"subject")[:200],
        client=transaction.session.client,
        metadata={key: value for key, value in labels.items() if value},
        origin="forward",
    )
    entry = Entry(
        queue_id=queue_id,
        number=0,
        recipient=address,
        lane=lane_of(DIRECT, address),
        created_at=now,
        expires_at=now,
        next_attempt_at=now,
        state=State.DROPPED,
        reason=reason,
    )
    event = Event(Kind.DROPPED, now, queue_id, 0, address, {"reason": reason, NOT_FORWARDED: why, "origin": "forward"})

    return NewMessage(message, b"", (entry,), (event,))
