"""Unsubscribe links and pixels in place of texts that the application wrote, and the notes about them. Pure."""

from collections.abc import Mapping

from relay.render.message_policy import MessagePolicy
from relay.rewrite.message import pixel_for
from relay.rewrite.mime import walk
from relay.rewrite.options import unsubscribe_link
from relay.rewrite.placeholders import Placeholders
from relay.rewrite.substitution_tags import place_pixel, replace_text
from relay.rewrite.tokens import Keyring

_NO_LINK = "only campaign mail (X-Relay-Campaign) of a domain with a tracking base_url gets a link there"


def placeholder_notes(found: Placeholders, base_url: str) -> dict[str, object]:
    """Return the notes about placeholders that stay."""
    kept = [f"unsubscribe placeholder: {reason}" for reason in found.kept]
    if found.found and not base_url:
        kept.append(f"unsubscribe placeholder: {_NO_LINK}")
    return {"skipped": kept} if kept else {}


def with_substitutions(
    policy: MessagePolicy, queue_id: str, text: bytes, recipient: int, keyring: Keyring
) -> tuple[bytes, dict[str, object]]:
    """Replace the texts that the application named. Return the message, and the notes about it."""
    notes, skipped = dict[str, object](), list[str]()
    is_copy = recipient in policy.copies

    if policy.pixel_text:
        opens = policy.tracking is not None and policy.tracking.opens and not is_copy
        pixel = pixel_for(policy.tracking, keyring, queue_id, recipient) if policy.tracking and opens else b""
        text, count = place_pixel(text, walk(text), policy.pixel_text, pixel)
        if count and pixel:
            notes["pixel"] = True
            notes |= {} if policy.tracking and policy.tracking.clicks else {"tracking": "opens only"}
        elif not count:
            skipped.append("the text for the pixel is not in the page")

    if policy.unsubscribe_text and policy.unsubscribe_url and not is_copy:
        link = unsubscribe_link(policy.unsubscribe_url, keyring, queue_id, recipient)
        text, count = replace_text(text, walk(text), policy.unsubscribe_text, link)
        notes |= {"unsubscribe_links": count}
    elif policy.unsubscribe_text and not is_copy:
        skipped.append(f"the text for the unsubscribe link: {_NO_LINK}")
    return text, notes | ({"skipped": skipped} if skipped else {})


def joined(notes: Mapping[str, object], others: Mapping[str, object]) -> dict[str, object]:
    """Return both notes together; lists of skipped parts are joined."""
    skipped: list[object] = []
    for one in (notes, others):
        found = one.get("skipped")
        skipped += found if isinstance(found, list) else []
    return {**notes, **others} | ({"skipped": skipped} if skipped else {})
