"""The fast path: rewrites a message with one simple HTML part by compiled code, if that was built.

The result has the content and the counts of `message.rewrite`, or is None. `docs/compiled-code.md` describes changes.
"""

from dataclasses import replace
from functools import lru_cache

from relay.frozen import dataclass
from relay.rewrite.clipping import exceeds_limit_by_rewriting
from relay.rewrite.eligibility import skip_message_reason, skip_part_reason, unsubscribe_values
from relay.rewrite.encoding import BASE64, QUOTED_PRINTABLE, base64_line, decode, encode_base64, has_long_line
from relay.rewrite.html_tags import Tag
from relay.rewrite.links import Reason, header_urls, read_link, rules
from relay.rewrite.message import PIXEL
from relay.rewrite.mime import Part
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
    """A message for the fast path: its HTML part, and the body of the part, decoded if it is base64."""

    part: Part
    body: bytes
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
    body: bytes | None = content[part.body : part.end]
    if body and part.encoding != QUOTED_PRINTABLE:
        body = decode(part.encoding, body)
    unsubscribe = frozenset().union(*map(header_urls, unsubscribe_values(content, parts[0])))
    return FastPlan(part, body, _rules(tracking, unsubscribe, part.charset), tracking) if body else None


def apply_fast(plan: FastPlan, content: bytes, keyring: Keyring, queue_id: str, recipient: int) -> FastRewritten | None:
    """Return the message rewritten for that recipient, None when the fast path does not apply."""
    part, opens, base = plan.part, plan.tracking.opens, plan.tracking.base_url.rstrip("/")
    click = url_token_signer(keyring, Kind.CLICK, queue_id, recipient, f"{base}/c/".encode())
    token = url_token_signer(keyring, Kind.OPEN, queue_id, recipient)(b"").decode("ascii")

    done = _native.rewrite_html(
        plan.body,
        quoted=part.encoding == QUOTED_PRINTABLE,
        charset=part.charset,
        rules=plan.rules,
        pixel=PIXEL.format(f"{base}/o/{token}").encode("ascii") if opens else b"",
        click=click,
    )
    if done is None or not (done[2] or opens):
        return None

    body, links, tracked = done
    if exceeds_limit_by_rewriting(plan.body, body, quoted=part.encoding == QUOTED_PRINTABLE):
        return None
    if part.encoding == BASE64:
        encoded = content[part.body : part.end]
        body = encode_base64(body, base64_line(encoded)) + (b"\r\n" if encoded.endswith(b"\r\n") else b"")
    elif part.encoding != QUOTED_PRINTABLE and has_long_line(body):
        return None
    return FastRewritten(b"".join((content[: part.body], body, content[part.end :])), opens, links, tracked)


def holds_name(body: bytes) -> bool:
    """Whether an encoded body has the name of a placeholder, perhaps with soft line breaks inside."""
    return _native.holds_name(body) if IS_COMPILED else holds_name_twin(body)


@lru_cache(maxsize=64)
def _rules(tracking: Tracking, unsubscribe: frozenset[str], charset: str) -> "_native.Rules":
    rule = replace(rules(tracking, unsubscribe), charset=charset)

    def classify(text: bytes, lower: bytes, attributes: int, end: int, text_end: int) -> bytes | None:
        found = next(read_link(text, lower, Tag(b"a", attributes, attributes, end), text_end, rule), None)
        return found.target.encode("utf-8", "surrogatepass") if found and found.reason is Reason.TRACKED else None

    return _native.Rules(rule, classify)
