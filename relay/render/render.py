"""Rendering: the bytes for one recipient, as a pure function of the stored message and the keys.

A repetition after a crash gives the same bytes. `relay preview` shows them, and worker processes make them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from relay.domains.relay_keys import Keys
from relay.mailauth.dkim_sign import sign
from relay.render.message import RenderedContent, Rendering, RenderInput, outgoing_content, reverse_path_for
from relay.render.message_policy import MessagePolicy
from relay.render.substitutions import joined, placeholder_notes, with_substitutions
from relay.rewrite.encoding import adapt_to_next_hop
from relay.rewrite.fast_path import FastRewritten, analyse_fast, apply_fast, holds_name
from relay.rewrite.message import Plan, Rewritten, analyse, apply
from relay.rewrite.mime import Part, walk
from relay.rewrite.options import Tracking, unsubscribe_link
from relay.rewrite.originator_fields import with_author_name, with_reply_address
from relay.rewrite.placeholders import Placeholders, find_placeholders, replace_placeholders
from relay.rewrite.substitution_tags import place_pixel
from relay.rewrite.tokens import Keyring, Kind, Token, sign_address_token

MAX_HTML = 4 * 1024 * 1024
"""Octets of the HTML parts of a message, above which it is not tracked."""

_SEARCHED = 1 << 20
"""Octets that are searched for unsubscribe placeholders in mail that is not tracked."""


def render(message: RenderInput, recipients: Sequence[int], keys: Keys, *, eight_bit: bool) -> list[Rendering]:
    """Render the message for each of these recipients (numbers of entries): reverse-path and content."""
    contents = render_contents(message, recipients, keys, eight_bit=eight_bit)
    return [
        Rendering(reverse_path_for(message, recipient, keys.tokens), one.content, one.notes)
        for recipient, one in zip(recipients, contents, strict=True)
    ]


def render_contents(
    message: RenderInput, recipients: Sequence[int], keys: Keys, *, eight_bit: bool
) -> list[RenderedContent]:
    """Render the content for each of these recipients (numbers of entries).

    Work that does not depend on the recipient is done once. Content that cannot be rewritten safely is sent unmodified,
    with the reason in the notes.
    """
    content, notes = _with_author_name(message)
    parts = walk(content) if _is_parsed(message) else []
    found = find_placeholders(content, parts) if parts else Placeholders()
    notes |= placeholder_notes(found, message.policy.unsubscribe_url)
    tracking = _tracking_besides(message.policy, content, parts)
    if tracking is not None and (why := _too_large_to_track(parts)):
        tracking, notes = None, joined(notes, {"skipped": [why]})
    rewritten = _rewritten(message, tracking, content, parts, recipients, keys.tokens)
    return [
        _render_one(message, content, of_recipient, recipient, keys, eight_bit, notes, found.found)
        for recipient, of_recipient in zip(recipients, rewritten, strict=True)
    ]


def _too_large_to_track(parts: Sequence[Part]) -> str:
    """Return why the HTML is not rewritten, "" if it may be: rewriting more of it takes minutes."""
    size = sum(part.end - part.body for part in parts if part.is_leaf and part.content_type == "text/html")
    return f"text/html: {size} octets, more than the {MAX_HTML} that are rewritten" if size > MAX_HTML else ""


def explain(message: RenderInput, recipient: int, keys: Keys) -> tuple[Rendering, Rewritten | None]:
    """Render for one recipient. Also return the decision about every link, None where tracking is off."""
    (rendering,) = render(message, [recipient], keys, eight_bit=True)
    tracking = message.policy.tracking
    if tracking is None:
        return rendering, None
    content, _ = _with_author_name(message)
    return rendering, apply(analyse(content, tracking), content, keys.tokens, message.queue_id, recipient)


def _with_author_name(message: RenderInput) -> tuple[bytes, dict[str, object]]:
    """Return the outgoing content with the identity's name in a From that has none, and the note about it."""
    content = outgoing_content(message)
    if not message.policy.author_name:
        return content, {}
    content, note = with_author_name(content, message.policy.author_name)
    return content, {"author_name": note}


def _is_parsed(message: RenderInput) -> bool:
    """Whether the MIME structure is needed: for tracking, and where there may be unsubscribe placeholders."""
    policy = message.policy
    if policy.tracking is not None or policy.unsubscribe_url:
        return True
    end = min(len(message.content), _SEARCHED)
    return holds_name(message.content, 0, end) or message.content.find(b"base64", 0, end) >= 0


def _tracking_besides(policy: MessagePolicy, content: bytes, parts: list[Part]) -> Tracking | None:
    """Return what rewriting tracks: no opens where the pixel has the place of a text."""
    tracking = policy.tracking
    if tracking is None or not policy.pixel_text or not place_pixel(content, parts, policy.pixel_text, b"")[1]:
        return tracking
    return replace(tracking, opens=False) if tracking.clicks else None


def _rewritten(
    message: RenderInput,
    tracking: Tracking | None,
    content: bytes,
    parts: list[Part],
    recipients: Sequence[int],
    keyring: Keyring,
) -> Iterator[Rewritten | FastRewritten | None]:
    """Yield the rewritten message of each recipient, None for a copy. The fast path is used where it applies."""
    fast = None if tracking is None else analyse_fast(content, tracking, parts)
    plan: Plan | None = None

    for recipient in recipients:
        if tracking is None or recipient in message.policy.copies:
            yield None
            continue
        if fast is not None:
            done = apply_fast(fast, content, keyring, message.queue_id, recipient)
            if done is not None:
                yield done
                continue
            fast = None
        plan = plan or analyse(content, tracking, parts)
        yield apply(plan, content, keyring, message.queue_id, recipient)


def _render_one(
    message: RenderInput,
    content: bytes,
    rewritten: Rewritten | FastRewritten | None,
    recipient: int,
    keys: Keys,
    eight_bit: bool,
    notes: dict[str, object],
    has_placeholders: bool,
) -> RenderedContent:
    policy = message.policy
    is_copy = recipient in policy.copies
    text = content if rewritten is None else rewritten.content

    if has_placeholders and policy.unsubscribe_url and not is_copy:
        link = unsubscribe_link(policy.unsubscribe_url, keys.tokens, message.queue_id, recipient)
        text, count = replace_placeholders(text, walk(text), link)
        notes = notes | {"unsubscribe_links": count}

    if policy.pixel_text or policy.unsubscribe_text:
        text, asked = with_substitutions(policy, message.queue_id, text, recipient, keys.tokens)
        notes = joined(notes, asked)
    if policy.reply_domain and not is_copy:
        token = sign_address_token(keys.tokens, Token(Kind.REPLY, message.queue_id, recipient))
        text, noted = with_reply_address(text, f"{token}@{policy.reply_domain}")
        notes = notes | {"reply_tracking": noted}
    if former := policy.original_to[recipient] if recipient < len(policy.original_to) else "":
        text = f"X-Original-To: {former}\r\n".encode() + text
    if policy.list_unsubscribe is not None and not is_copy:
        text = policy.list_unsubscribe.fields(keys.tokens, message.queue_id, recipient) + text

    # The signature covers the bytes that the next hop gets, so it comes last.
    fitting = adapt_to_next_hop(text, eight_bit)
    signing = keys.dkim.get(policy.domain, ()) if policy.is_signed else ()
    signature = sign(fitting, signing, int(message.created_at)) if signing else b""
    return RenderedContent(signature + fitting, joined(_notes(rewritten), notes))


def _notes(rewritten: Rewritten | FastRewritten | None) -> dict[str, object]:
    if rewritten is None:
        return {"tracking": "off"}
    notes: dict[str, object] = {
        "pixel": rewritten.pixel,
        "links": rewritten.link_count,
        "tracked": rewritten.tracked_count,
    }
    if isinstance(rewritten, Rewritten) and rewritten.size:
        notes["size"] = rewritten.size
    return notes | {"skipped": list(rewritten.skipped)} if rewritten.skipped else notes
