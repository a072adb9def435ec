"""Messages, entries and claims for the contract tests."""

from dataclasses import replace

from relay.content_file import LARGE
from relay.events.event import Event, Kind
from relay.mail.reply import Reply
from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import Entry, State
from relay.queue.message import ClaimedBatch, Message, NewMessage, Settlement
from relay.render.message_policy import MessagePolicy
from relay.reports.ports import MessageQuery
from relay.rewrite.options import ListUnsubscribe, Tracking
from relay.storage.store import Store

NOW = 1_800_000_000.0

ROOMY = ClaimLimits(entries=10_000, content_bytes=1 << 30, per_lane=10_000, lanes={})

CONTENT = b"Subject: hello\r\n\r\nHello \xff\x00 there.\r\n"


def entry(queue_id: str, number: int = 0, recipient: str = "", *, due: float = NOW, at: float = NOW) -> Entry:
    address = recipient or f"user{number}@example.com"
    return Entry(
        queue_id=queue_id,
        number=number,
        recipient=address,
        lane=f"mx:{address.rpartition('@')[2]}",
        created_at=at,
        expires_at=at + 259_200,
        next_attempt_at=due,
    )


def accepted(
    queue_id: str, *recipients: str, due: float = NOW, at: float = NOW, content: bytes = CONTENT
) -> NewMessage:
    message = Message(queue_id=queue_id, created_at=at, reverse_path="app@acme.test", size=len(content))
    entries = tuple(
        entry(queue_id, number, recipient, due=due, at=at)
        for number, recipient in enumerate(recipients or ("user0@example.com",))
    )
    events = tuple(Event(Kind.CREATED, at, queue_id, one.number, one.recipient) for one in entries)
    return NewMessage(message, content, entries, events)


def full_message(queue_id: str = "Q00000000000FF") -> Message:
    """A message with no field left at its default."""
    return Message(
        queue_id=queue_id,
        created_at=NOW + 0.125,
        reverse_path="bounce+é@acme.test",
        policy=MessagePolicy(
            domain="acme.test",
            identity="billing@acme.test",
            tracking=Tracking(
                opens=False,
                clicks=False,
                base_url="https://t.acme.test",
                text_links=True,
                skip_sensitive=False,
                skip_visible_urls=False,
                skip_unsubscribe=False,
                exclude_hosts=("*.internal.example", "x.test"),
                pixel="start",
            ),
            return_path="bounces.acme.test",
            bounce_address="bounces@acme.test",
            provider="newsletter",
            fallback_providers=("other", "direct"),
            author_name="Zo\u00eb (Acme Ltd)",
            reply_domain="reply.acme.test",
            reply_to=("sales@acme.test", "zo\u00eb@acme.test"),
            copies=(4, 5),
            forward_domain="bounces.acme.test",
            list_unsubscribe=ListUnsubscribe("https://t.acme.test", "reply.acme.test"),
            added_fields=b"Received: from x\r\n\tby y\xff\r\n",
            unsubscribe_url="https://t.acme.test",
            pixel_text="%open%",
            unsubscribe_text="[leave]",
            dialects=("sendgrid", "ses"),
            is_signed=False,
            needs_tls=True,
            tags_were_a_list=True,
            ignores_lists=True,
            send_at=1_800_000_000.5,
        ),
        smtputf8=True,
        ret="HDRS",
        envid="QQ314159",
        size=41,
        message_id="<1@acme.test>",
        header_from="billing@acme.test",
        subject="Rechnung – 1️⃣",
        credential="app1",
        client="192.0.2.1",
        campaign="spring",
        tags=("invoice", "first time"),
        metadata={"invoice": "4711", "customer": "Zoë"},
        origin="test",
    )


def full_entry(queue_id: str = "Q00000000000FF") -> Entry:
    """An entry with no field left at its default."""
    return Entry(
        queue_id=queue_id,
        number=3,
        recipient="Zoë@Example.COM",
        lane="provider:newsletter",
        created_at=NOW + 0.125,
        expires_at=NOW + 259_200.5,
        next_attempt_at=NOW - 1.5,
        release_at=NOW - 2.25,
        state=State.WAITING,
        attempts=2,
        notify=("SUCCESS", "DELAY"),
        orcpt="rfc822;zoe@example.com",
        last_reply=Reply(451, "4.7.1", 'later\nor "never" \udcff'),
        last_remote="mx.example.com[192.0.2.9]",
        reason="held back by limits",
        uncertain=True,
        delay_notified=True,
    )


def settle(claimed: ClaimedBatch, state: State, at: float, *, due: float | None = None) -> Settlement:
    """The settlement that brings all entries of a claim into that state, with an event each."""
    kind = {State.DELIVERED: Kind.DELIVERED, State.BOUNCED: Kind.BOUNCED, State.DROPPED: Kind.DROPPED}
    entries = tuple(
        replace(
            one, state=state, attempts=one.attempts + 1, next_attempt_at=one.next_attempt_at if due is None else due
        )
        for one in claimed.entries
    )
    events = tuple(
        Event(kind.get(state, Kind.DEFERRED), at, one.queue_id, one.number, one.recipient, {"n": one.attempts})
        for one in entries
    )
    return Settlement(entries, events)


def forget_recent(store: Store) -> None:
    """Have the next claim read what is stored."""
    recent = store.queue._recent
    for queue_id in list(recent._messages):
        recent.take(queue_id, LARGE)


def ids(claimed: list[ClaimedBatch] | tuple[ClaimedBatch, ...]) -> list[tuple[str, int]]:
    return [(one.queue_id, one.number) for claim in claimed for one in claim.entries]


async def claim(store: Store, now: float = NOW, room: ClaimLimits = ROOMY) -> list[ClaimedBatch]:
    return list(await store.queue.claim(now, room))


def with_message(one: NewMessage, **changes: object) -> NewMessage:
    return replace(one, message=replace(one.message, **changes))  # type: ignore[arg-type]


async def found(store: Store, query: MessageQuery) -> list[str]:
    return [story.message.queue_id for story in await store.reports.stories(query)]
