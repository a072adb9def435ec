"""What an attempt comes to: the mail transactions to make, and what rendering needs of a message. Pure."""

from dataclasses import replace

from relay.queue.message import Claimed, Message
from relay.render import Stored, is_personal


def stored_form(message: Message, content: bytes) -> Stored:
    """Return what rendering needs of the message."""
    policy = message.policy
    return Stored(
        queue_id=message.queue_id,
        created_at=message.created_at,
        reverse_path=message.reverse_path,
        content=content,
        added_fields=policy.added_fields,
        domain=policy.domain,
        tracking=policy.tracking,
        return_path=policy.return_path,
        author_name=policy.author_name,
        reply_domain=policy.reply_domain,
        copies=policy.copies,
        forward_domain=policy.forward_domain,
        list_unsubscribe=policy.list_unsubscribe,
    )


def transactions(claimed: Claimed) -> list[Claimed]:
    """Split into the transactions to make: one for each recipient where bytes differ, else one for all."""
    if is_personal(stored_form(claimed.message, b"")):
        return [replace(claimed, entries=(entry,)) for entry in claimed.entries]
    return [claimed]
