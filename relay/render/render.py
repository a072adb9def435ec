"""Rendering: the bytes that go out to one recipient, as a pure function of what is stored and the keys.

It can be repeated after a crash with the same result, shown by `relay preview`, and run in a worker process.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from relay.domains.keys import Keys
from relay.mail.control_headers import PREFIX
from relay.mail.headers import Field, fields, without
from relay.mail.srs import srs_encode
from relay.mailauth.dkim_sign import sign
from relay.rewrite.encoding import adapt_to_next_hop
from relay.rewrite.fast_path import FastRewritten, analyse_fast, apply_fast
from relay.rewrite.header_fields import with_author_name, with_reply_address
from relay.rewrite.message import Plan, Rewritten, analyse, apply
from relay.rewrite.options import ListUnsubscribe, Tracking
from relay.rewrite.tokens import Keyring, Kind, Token, sign_address_token

REMOVED = (b"bcc", b"resent-bcc")
"""Fields that name hidden recipients (RFC 5322 section 3.6.3)."""


@dataclass(frozen=True, slots=True)
class RenderInput:
    """What rendering needs of a stored message."""

    queue_id: str
    created_at: float
    reverse_path: str
    content: bytes
    added_fields: bytes = b""
    domain: str = ""
    """Sending domain whose keys sign, "" for none."""
    tracking: Tracking | None = None
    return_path: str = ""
    """Domain of signed return-paths, "" keeps the reverse-path."""
    author_name: str = ""
    """Name put into From when it has none, "" for none."""
    reply_domain: str = ""
    """Domain of signed Reply-To addresses, "" leaves Reply-To as it is."""
    copies: tuple[int, ...] = ()
    """Recipients that get a copy: nothing of tracking shows in it."""
    forward_domain: str = ""
    """Domain of the rewritten reverse-path (SRS) of mail that is passed on as it came, "" for applications' mail."""
    list_unsubscribe: ListUnsubscribe | None = None
    """Where readers unsubscribe by the header; None adds no such fields."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """What goes out to one recipient."""

    reverse_path: str
    content: bytes
    notes: Mapping[str, object]
    """What was done, for the message's story: JSON values."""


def is_per_recipient(stored: RenderInput) -> bool:
    """Tell whether every recipient gets bytes or a reverse-path of its own."""
    return any(
        (stored.tracking is not None, stored.return_path, stored.reply_domain, stored.list_unsubscribe is not None)
    )


def render(stored: RenderInput, recipients: Sequence[int], keys: Keys, *, eight_bit: bool) -> list[Rendering]:
    """Render the message for each of these recipients (indices in the message).

    The work that does not depend on the recipient is done once. Never fails a message: what cannot be rewritten
    safely goes out as it came, with the reason in the notes.
    """
    content, notes = _named(stored)
    rewritten = _rewritten(stored, content, recipients, keys.tokens)
    return [
        _render_one(stored, content, of_recipient, recipient, keys, eight_bit, notes)
        for recipient, of_recipient in zip(recipients, rewritten, strict=True)
    ]


def explain(stored: RenderInput, recipient: int, keys: Keys) -> tuple[Rendering, Rewritten | None]:
    """Render for one recipient and say what was decided about every link; None where tracking is off."""
    (rendering,) = render(stored, [recipient], keys, eight_bit=True)
    if stored.tracking is None:
        return rendering, None
    content, _ = _named(stored)
    return rendering, apply(analyse(content, stored.tracking), content, keys.tokens, stored.queue_id, recipient)


def render_unmodified(stored: RenderInput, recipient: int, keys: Keys, reason: str) -> Rendering:
    """Return the message as it came, neither rewritten nor fitted nor signed, for when rendering itself failed."""
    return Rendering(reverse_path_for(stored, recipient, keys.tokens), outgoing(stored), {"skipped": [reason]})


def outgoing(stored: RenderInput) -> bytes:
    """Return the content as it leaves before rewriting: our fields in front, instructions and Bcc removed.

    Of mail that is passed on nothing is removed: its signatures are not ours to break. A content that begins with
    white space has no header; it must not become the continuation of our last field.
    """
    hidden = () if stored.forward_domain else [found for found in fields(stored.content) if _is_hidden(found)]
    kept = without(stored.content, hidden) if hidden else stored.content
    headless = stored.added_fields and kept.startswith((b" ", b"\t"))
    return stored.added_fields + b"\r\n" + kept if headless else stored.added_fields + kept


def reverse_path_for(stored: RenderInput, recipient: int, keyring: Keyring) -> str:
    """Return the reverse-path for that recipient: a signed return-path where the domain has one, or a rewritten one."""
    if stored.forward_domain:
        return srs_encode(keyring.keys[0][1], stored.reverse_path, stored.forward_domain, stored.created_at)
    if not (stored.return_path and stored.reverse_path):
        return stored.reverse_path
    token = sign_address_token(keyring, Token(Kind.BOUNCE, stored.queue_id, recipient))
    return f"{token}@{stored.return_path}"


def _named(stored: RenderInput) -> tuple[bytes, dict[str, object]]:
    """Return the outgoing content with the identity's name where From has none, and what the story says of that."""
    content = outgoing(stored)
    if not stored.author_name:
        return content, {}
    content, note = with_author_name(content, stored.author_name)
    return content, {"author_name": note}


def _rewritten(
    stored: RenderInput, content: bytes, recipients: Sequence[int], keyring: Keyring
) -> Iterator[Rewritten | FastRewritten | None]:
    """Yield the message rewritten for each recipient, by the fast path where that takes it; None for a copy."""
    tracking = stored.tracking
    fast = None if tracking is None else analyse_fast(content, tracking)
    plan: Plan | None = None
    for recipient in recipients:
        if tracking is None or recipient in stored.copies:
            yield None
            continue
        if fast is not None:
            done = apply_fast(fast, content, keyring, stored.queue_id, recipient)
            if done is not None:
                yield done
                continue
            fast = None
        plan = plan or analyse(content, tracking)
        yield apply(plan, content, keyring, stored.queue_id, recipient)


def _render_one(
    stored: RenderInput,
    content: bytes,
    rewritten: Rewritten | FastRewritten | None,
    recipient: int,
    keys: Keys,
    eight_bit: bool,
    notes: dict[str, object],
) -> Rendering:
    is_copy = recipient in stored.copies
    text = content if rewritten is None else rewritten.content
    if stored.reply_domain and not is_copy:
        token = sign_address_token(keys.tokens, Token(Kind.REPLY, stored.queue_id, recipient))
        text, noted = with_reply_address(text, f"{token}@{stored.reply_domain}")
        notes = notes | {"reply_tracking": noted}
    if stored.list_unsubscribe is not None and not is_copy:
        text = stored.list_unsubscribe.fields(keys.tokens, stored.queue_id, recipient) + text
    fitting = adapt_to_next_hop(text, eight_bit)
    signing = keys.dkim.get(stored.domain, ())
    signature = sign(fitting, signing, int(stored.created_at)) if signing else b""
    return Rendering(reverse_path_for(stored, recipient, keys.tokens), signature + fitting, _notes(rewritten) | notes)


def _notes(rewritten: Rewritten | FastRewritten | None) -> dict[str, object]:
    if rewritten is None:
        return {"tracking": "off"}
    notes: dict[str, object] = {
        "pixel": rewritten.pixel,
        "links": rewritten.link_count,
        "tracked": rewritten.tracked_count,
    }
    return notes | {"skipped": list(rewritten.skipped)} if rewritten.skipped else notes


def _is_hidden(found: Field) -> bool:
    return found.name in REMOVED or found.name.startswith(PREFIX)
