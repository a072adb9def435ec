"""The plan of a rewrite: the changes to a message, found once and applied for each recipient."""

import re
from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter
from typing import NamedTuple

from relay.frozen import dataclass
from relay.rewrite.eligibility import skip_message_reason, skip_part_reason, unsubscribe_values
from relay.rewrite.html_tags import Tag, tags
from relay.rewrite.links import FoundLink, Reason, Rules, classify_link, header_urls, links, rules
from relay.rewrite.mime import Part, walk
from relay.rewrite.options import Tracking
from relay.rewrite.pixel import pixel_position
from relay.rewrite.text_links import text_urls
from relay.rewrite.text_parts import PartPlan, Splice, TextPart, decode_text_part, plan_part

_USABLE_BASE = re.compile(r"https?://[\w.:\[\]/~-]+", re.ASCII)

_SOURCE = re.compile(rb"""[\s/"']src\s*+=\s*+["']?+\s*+([^\s"'>]*+)""", re.IGNORECASE)
"""The `src` attribute of an image."""


class LinkDecision(NamedTuple):
    """The decision about one link: its part, its target, and the tracking URL in its place, "" for none."""

    part: str
    target: str
    tracked: bool
    reason: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes to a message."""

    base_url: str
    parts: tuple[PartPlan, ...] = ()
    links: tuple[LinkDecision, ...] = ()
    """In the order of the message, without their tracking URLs."""
    pixel: bool = False
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Text:
    """A part that may be rewritten, in lower case, and with its tags if it is HTML."""

    text: TextPart
    lower: bytes
    tags: tuple[Tag, ...]

    @property
    def part(self) -> Part:
        """The MIME part."""
        return self.text.part


def analyse(content: bytes, tracking: Tracking, parts: list[Part] | None = None) -> Plan:
    """Return the plan of a message with CRLF line ends. Parts that are malformed or ambiguous are skipped."""
    base = tracking.base_url.rstrip("/")
    reason = why_not_tracked(tracking, base)
    if reason:
        return Plan(base, skipped=(reason,))

    parts = parts or walk(content)
    reason = skip_message_reason(parts)
    if reason:
        return Plan(base, skipped=(f"message {reason}",))

    skipped: list[str] = []
    texts = list(_texts(content, parts, tracking, base, skipped))
    if not texts and not skipped:
        skipped.append("message has no HTML part")
    pixel = _place_pixel(texts, tracking, base, skipped)
    rule = rules(tracking, frozenset().union(*map(header_urls, unsubscribe_values(content, parts[0]))))

    planned: list[PartPlan] = []
    decisions: list[LinkDecision] = []
    for text in texts:
        found = list(_links(text, replace(rule, charset=text.part.charset))) if tracking.clicks else []
        decisions += (
            LinkDecision(text.part.path, link.target, link.reason is Reason.TRACKED, link.reason) for link in found
        )
        splices = [
            Splice(link.start, link.end, link.target, link.end - link.start)
            for link in found
            if link.reason is Reason.TRACKED
        ]
        if pixel is not None and pixel[0] is text:
            splices.append(Splice(pixel[1], pixel[1], None, 0))
            splices.sort(key=itemgetter(0))
        if splices:
            planned.append(plan_part(text.text, splices))

    return Plan(base, tuple(planned), tuple(decisions), pixel is not None, tuple(skipped))


def why_not_tracked(tracking: Tracking, base: str) -> str:
    """Return why a message with these options is not rewritten, "" when it may be."""
    if not (tracking.opens or tracking.clicks):
        return "tracking is off"
    if not base:
        return "no tracking base URL"
    if _USABLE_BASE.fullmatch(base) is None:
        return f"tracking base URL {base!r} is not a plain http or https URL"
    return ""


def _texts(content: bytes, parts: list[Part], tracking: Tracking, base: str, skipped: list[str]) -> Iterator[_Text]:
    """Yield the parts that may be rewritten. Append the reasons for the others to `skipped`."""
    wanted = ("text/html", "text/plain") if tracking.text_links and tracking.clicks else ("text/html",)
    images = f"{base}/".encode()
    for part in parts:
        if part.content_type not in wanted or not part.is_leaf:
            continue
        reason = skip_part_reason(content, part)
        if not reason:
            text, reason = _decode_part(content, part, images)
            if text is not None:
                yield text
                continue
        skipped.append(f"part {part.path} {reason}")


def _decode_part(content: bytes, part: Part, images: bytes) -> tuple[_Text | None, str]:
    text, reason = decode_text_part(content, part)
    if text is None:
        return None, reason
    lower = text.readable.lower()
    seen = tuple(tags(lower, images=images.lower() in lower)) if part.content_type == "text/html" else ()
    return _Text(text, lower, seen), ""


def _place_pixel(texts: list[_Text], tracking: Tracking, base: str, skipped: list[str]) -> tuple[_Text, int] | None:
    """Return the first HTML part with a position for the pixel, and the position; None for no pixel."""
    htmls = [text for text in texts if text.part.content_type == "text/html"]
    if not tracking.opens or not htmls:
        return None
    if any(_has_pixel(text, f"{base}/".encode()) for text in htmls):
        skipped.append("message has its pixel already")
        return None
    for text in htmls:
        position = pixel_position(text.lower, text.tags, tracking.pixel)
        if position is not None:
            return text, position
    skipped.append("message has no place for a pixel")
    return None


def _has_pixel(text: _Text, base: bytes) -> bool:
    return any(
        tag.name in (b"img", b"image")
        and (source := _SOURCE.search(text.text.readable, tag.attributes - 1, tag.end)) is not None
        and source[1].lower().startswith(base.lower())
        for tag in text.tags
    )


def _links(text: _Text, rule: Rules) -> Iterator[FoundLink]:
    if text.part.content_type == "text/html":
        shown = None if text.text.readable is text.text.decoded else text.text.decoded
        yield from links(text.text.readable, text.lower, list(text.tags), rule, shown)
        return
    given = text.part.parameters.parameters
    joins_lines = given.get("format", "").lower() == "flowed" and given.get("delsp", "").lower() == "yes"
    for start, end, is_certain in text_urls(
        text.text.readable, text.text.decoded, text.part.charset, joins_lines=joins_lines
    ):
        url = text.text.readable[start:end].decode("utf-8", "replace")
        target, reason = classify_link(url, rule) if is_certain else (url, Reason.NOT_PLAIN)
        yield FoundLink(start, end, target, reason)
