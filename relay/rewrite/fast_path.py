"""The fast path: rewrites a message with one simple HTML part by compiled code, if that was built.

The result has the content and the counts of `message.rewrite`, or is None. `docs/compiled-code.md` describes changes.
"""

from dataclasses import replace
from functools import lru_cache

from relay.frozen import dataclass
from relay.rewrite.clipping import LIMIT, exceeds_limit_by_rewriting
from relay.rewrite.eligibility import skip_message_reason, skip_part_reason, unsubscribe_values
from relay.rewrite.encoding import BASE64, QUOTED_PRINTABLE, base64_line, decode, encode_base64, has_long_line
from relay.rewrite.html_tags import Tag
from relay.rewrite.links import Reason, header_urls, read_link, rules
from relay.rewrite.message import PIXEL
from relay.rewrite.mime import IDENTITY_ENCODINGS, Part
from relay.rewrite.native import IS_COMPILED
from relay.rewrite.native import native as _native
from relay.rewrite.options import Tracking
from relay.rewrite.placeholder_spellings import holds_name_twin
from relay.rewrite.plan import why_not_tracked
from relay.rewrite.tokens import Keyring, Kind, url_token_signer


@dataclass(frozen=True, slots=True)
class FastRewritten:
    """A message rewritten for one recipient by the fast path (twin: `message.Rewritten`)."""

    content: bytes
    pixel: bool
    link_count: int
    tracked_count: int
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FastPlan:
    """A message for the fast path."""

    part: Part
    """The HTML part."""
    decoded: bytes | None
    """The decoded body of a base64 part, None for all others."""
    rules: "_native.Rules"
    tracking: Tracking


def analyse_fast(content: bytes, tracking: Tracking, parts: list[Part]) -> FastPlan | None:
    """Return the plan of a message with these parts, None when the fast path does not apply."""
    if not IS_COMPILED or tracking.text_links or why_not_tracked(tracking, tracking.base_url.rstrip("/")):
        return None
    htmls = [part for part in parts if part.content_type == "text/html" and part.is_leaf]
    if len(htmls) != 1 or skip_message_reason(parts) or skip_part_reason(content, htmls[0]):
        return None

    (part,) = htmls
    decoded: bytes | None = None
    if part.encoding != QUOTED_PRINTABLE and part.encoding not in IDENTITY_ENCODINGS:
        decoded = decode(part.encoding, content[part.body : part.end])
        if decoded is None:
            return None
    unsubscribe = frozenset().union(*map(header_urls, unsubscribe_values(content, parts[0])))
    return FastPlan(part, decoded, _rules(tracking, unsubscribe, part.charset), tracking)


def apply_fast(plan: FastPlan, content: bytes, keyring: Keyring, queue_id: str, recipient: int) -> FastRewritten | None:
    """Return the message rewritten for that recipient, None when the fast path does not apply."""
    part, opens, base = plan.part, plan.tracking.opens, plan.tracking.base_url.rstrip("/")
    click = url_token_signer(keyring, Kind.CLICK, queue_id, recipient, f"{base}/c/".encode())
    token = url_token_signer(keyring, Kind.OPEN, queue_id, recipient)(b"").decode("ascii")

    text, start, end = (content, part.body, part.end) if plan.decoded is None else (plan.decoded, 0, len(plan.decoded))
    done = _native.rewrite_html(
        text,
        start,
        end,
        quoted=part.encoding == QUOTED_PRINTABLE,
        charset=part.charset,
        rules=plan.rules,
        pixel=PIXEL.format(f"{base}/o/{token}").encode("ascii") if opens else b"",
        click=click,
    )
    if done is None or not (done[2] or opens):
        return None

    made, links, tracked = done
    stop = end + len(made) - len(text)
    if stop - start > LIMIT and exceeds_limit_by_rewriting(
        text[start:end], made[start:stop], quoted=part.encoding == QUOTED_PRINTABLE
    ):
        return None
    if part.encoding == BASE64:
        encoded = content[part.body : part.end]
        body = encode_base64(made, base64_line(encoded)) + (b"\r\n" if encoded.endswith(b"\r\n") else b"")
        made = b"".join((content[: part.body], body, content[part.end :]))
    elif part.encoding != QUOTED_PRINTABLE and has_long_line(made, start, stop):
        return None
    return FastRewritten(made, opens, links, tracked)


def holds_name(content: bytes, start: int = 0, end: int | None = None) -> bool:
    """Whether the encoded body between these offsets has the name of a placeholder, perhaps with soft line breaks."""
    stop = len(content) if end is None else end
    return _native.holds_name(content, start, stop) if IS_COMPILED else holds_name_twin(content[start:stop])


@lru_cache(maxsize=64)
def _rules(tracking: Tracking, unsubscribe: frozenset[str], charset: str) -> "_native.Rules":
    rule = replace(rules(tracking, unsubscribe), charset=charset)

    def classify(text: bytes, lower: bytes, attributes: int, end: int, text_end: int) -> bytes | None:
        found = next(read_link(text, lower, Tag(b"a", attributes, attributes, end), text_end, rule), None)
        return found.target.encode("utf-8", "surrogatepass") if found and found.reason is Reason.TRACKED else None

    return _native.Rules(rule, classify)
