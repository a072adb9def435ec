"""Sample events of each kind, for `relay webhook test`. Pure."""

from collections.abc import Mapping
from typing import Any

from relay.events.event import Event, Kind
from relay.queue.message import Message
from relay.render.message_policy import MessagePolicy
from relay.webhooks.build import Record, build
from relay.webhooks.feed import Position, StoredEvent

_SERVER = {"remote": "mx.example.net[192.0.2.10]:25", "attempt": 1, "lane": "mx:example.net", "delay": 0.8}

_READER = {"client": "198.51.100.7", "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101"}

_DATA: Mapping[Kind, Mapping[str, Any]] = {
    Kind.DELIVERED: {**_SERVER, "reply": "250 2.0.0 OK", "status": "2.0.0"},
    Kind.DEFERRED: {**_SERVER, "reply": "451 4.7.1 Greylisted", "status": "4.7.1", "category": "greylisted"},
    Kind.BOUNCED: {**_SERVER, "reply": "550 5.1.1 No such user", "status": "5.1.1", "category": "bad_mailbox"},
    Kind.DROPPED: {"reason": "suppressed: bad_mailbox (550 5.1.1 No such user)"},
    Kind.HELD: {"reason": "the stored content cannot be read"},
    Kind.OPEN: _READER,
    Kind.CLICK: {**_READER, "target": "https://example.com/invoice/1042"},
    Kind.REPLY: {"from": "you@example.net", "subject": "Re: Invoice 1042", "automatic": False},
    Kind.UNSUBSCRIBE: {**_READER, "by": "page"},
    Kind.COMPLAINT: {"feedback_type": "abuse"},
    Kind.FEEDBACK: {"feedback_type": "not-spam"},
}


def sample(kind: Kind, domain: str, now: float) -> Record:
    """Return a sample event about a message from this domain, marked as a test."""
    address = f"billing@{domain}"
    message = Message(
        queue_id="0TEST000000000",
        created_at=now,
        reverse_path=address,
        policy=MessagePolicy(domain=domain, identity=address),
        size=2048,
        message_id=f"<test@{domain}>",
        header_from=address,
        subject="Invoice 1042",
        tags=("invoice",),
        metadata={"invoice": "1042"},
    )
    event = Event(kind, now, message.queue_id, 0, "you@example.net", _DATA.get(kind, {}))
    return build(StoredEvent(Position(), event, message), test=True)
