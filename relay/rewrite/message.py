"""Adds tracking to a message for one recipient: splices URLs and the pixel, and keeps every other byte."""

from relay.frozen import dataclass
from relay.rewrite.clipping import Fitted, exceeds_limit_by_texts, fit
from relay.rewrite.links import Reason
from relay.rewrite.options import Tracking
from relay.rewrite.plan import LinkDecision, Plan, analyse, why_not_tracked
from relay.rewrite.text_parts import PartPlan, splice_part
from relay.rewrite.tokens import Keyring, Kind, Token, sign_token

__all__ = ["LinkDecision", "Plan", "Rewritten", "analyse", "apply", "rewrite"]

_PIXEL_STYLE = (
    "position:absolute!important;float:left!important;display:block!important;width:1px!important;"
    "height:1px!important;min-width:0!important;min-height:0!important;max-width:none!important;"
    "max-height:none!important;margin:-1px 0 0 -1px!important;padding:0!important;border:0!important;"
    "opacity:0!important"
)

PIXEL = f'<img src="{{}}" alt="" width="1" height="1" style="{_PIXEL_STYLE}">'
"""The pixel. Clients render it, so they fetch it, but it takes no space (docs/decisions/0002-pixel-form.md)."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A message for one recipient, with its changes."""

    content: bytes
    links: tuple[LinkDecision, ...] = ()
    pixel: bool = False
    skipped: tuple[str, ...] = ()
    """Reasons why the message, or parts of it, stayed unchanged."""
    size: str = ""
    """What was done to keep the HTML below the size at which Gmail cuts it off, "" for nothing."""

    @property
    def link_count(self) -> int:
        """The number of links in the message."""
        return len(self.links)

    @property
    def tracked_count(self) -> int:
        """The number of tracked links."""
        return sum(link.tracked for link in self.links)


def rewrite(content: bytes, tracking: Tracking, keyring: Keyring, queue_id: str, recipient: int) -> Rewritten:
    """Return the message with tracked links and a pixel for the recipient of that index.

    `content` is the whole message with CRLF line ends. No content raises: parts that are malformed or ambiguous stay
    unchanged, with the reason in `skipped`. Without a change, `content` is returned as the same object. Raises
    ValueError for a malformed queue id.
    """
    return apply(analyse(content, tracking), content, keyring, queue_id, recipient)


def apply(plan: Plan, content: bytes, keyring: Keyring, queue_id: str, recipient: int) -> Rewritten:
    """Apply a plan made from the same content. The recipients of one message share its plan."""
    if not plan.parts:
        return Rewritten(content, plan.links, plan.pixel, plan.skipped)

    pixel = _pixel(plan.base_url, keyring, queue_id, recipient) if plan.pixel else b""
    tokens = _Tokens(plan.base_url, keyring, queue_id, recipient, pixel)
    fitted = [_fit(part_plan, tokens) for part_plan in plan.parts]

    pieces: list[bytes] = []
    at = 0
    for part_plan, one in zip(plan.parts, fitted, strict=True):
        part = part_plan.part
        header, body = splice_part(content, part_plan, one.texts)
        pieces += (content[at : part.start], header, body)
        at = part.end
    pieces.append(content[at:])

    put_in = [
        pair for part, one in zip(plan.parts, fitted, strict=True) for pair in zip(part.splices, one.texts, strict=True)
    ]
    urls = iter([text for splice, text in put_in if splice.target is not None])
    links = tuple(_decided(link, next(urls)) if link.tracked else link for link in plan.links)
    has_pixel = any(splice.target is None and text is not None for splice, text in put_in)
    notes = [f"part {part.part.path}: {one.note}" for part, one in zip(plan.parts, fitted, strict=True) if one.note]
    return Rewritten(b"".join(pieces), links, has_pixel, plan.skipped, "; ".join(notes))


def pixel_for(tracking: Tracking, keyring: Keyring, queue_id: str, recipient: int) -> bytes:
    """Return the pixel of that recipient, b"" without a usable base URL."""
    base = tracking.base_url.rstrip("/")
    return b"" if why_not_tracked(tracking, base) else _pixel(base, keyring, queue_id, recipient)


def _pixel(base: str, keyring: Keyring, queue_id: str, recipient: int) -> bytes:
    token = sign_token(keyring, Token(Kind.OPEN, queue_id, recipient))
    return PIXEL.format(f"{base}/o/{token}").encode("ascii")


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What the texts for one recipient are made from."""

    base_url: str
    keyring: Keyring
    queue_id: str
    recipient: int
    pixel: bytes

    def texts(self, part: PartPlan, *, short: bool) -> tuple[bytes, ...]:
        """Return the text of each splice."""
        return tuple(self.pixel if one.target is None else self._url(one.target, short=short) for one in part.splices)

    def _url(self, target: str, *, short: bool) -> bytes:
        token = Token(Kind.CLICK, self.queue_id, self.recipient, target)
        return f"{self.base_url}/c/{sign_token(self.keyring, token, short=short)}".encode("ascii")


def _fit(plan: PartPlan, tokens: _Tokens) -> Fitted:
    """Return the texts of the part, as short as it takes to keep its HTML below the limit."""
    texts = tokens.texts(plan, short=False)
    if plan.part.content_type != "text/html" or not exceeds_limit_by_texts(plan.size, plan.widths, texts):
        return Fitted(texts)
    is_link = [splice.target is not None for splice in plan.splices]
    return fit(plan.size, plan.widths, tokens.texts(plan, short=True), is_link)


def _decided(link: LinkDecision, url: bytes | None) -> LinkDecision:
    if url is None:
        return link._replace(tracked=False, reason=Reason.CLIPPED)
    return link._replace(url=url.decode("ascii"))
