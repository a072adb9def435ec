"""Adds tracking to a message for one recipient: splices URLs and the pixel, and keeps every other byte."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relay.rewrite.clipping import Fitted, fit, is_pushed_over
from relay.rewrite.encoding import BASE64, QUOTED_PRINTABLE, base64_line, encode_base64, has_long_line, quote, reencoded
from relay.rewrite.links import Reason
from relay.rewrite.options import Tracking
from relay.rewrite.plan import LinkDecision, PartPlan, Plan, Splice, analyse
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

    pixel = b""
    if plan.pixel:
        token = sign_token(keyring, Token(Kind.OPEN, queue_id, recipient))
        pixel = PIXEL.format(f"{plan.base_url}/o/{token}").encode("ascii")
    tokens = _Tokens(plan.base_url, keyring, queue_id, recipient, pixel)
    fitted = [_fit(part_plan, tokens) for part_plan in plan.parts]

    pieces: list[bytes] = []
    at = 0
    for part_plan, one in zip(plan.parts, fitted, strict=True):
        part = part_plan.part
        header, body = _rewritten(content, part_plan, one.texts)
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
    if plan.part.content_type != "text/html" or not is_pushed_over(plan.size, plan.widths, texts):
        return Fitted(texts)
    is_link = [splice.target is not None for splice in plan.splices]
    return fit(plan.size, plan.widths, tokens.texts(plan, short=True), is_link)


def _decided(link: LinkDecision, url: bytes | None) -> LinkDecision:
    if url is None:
        return link._replace(tracked=False, reason=Reason.CLIPPED)
    return link._replace(url=url.decode("ascii"))


def _rewritten(content: bytes, plan: PartPlan, texts: Sequence[bytes | None]) -> tuple[bytes, bytes]:
    """Return header block and body of the part with the texts that are not None."""
    part = plan.part
    header, body = content[part.start : part.body], content[part.body : part.end]
    kept = [(splice, text) for splice, text in zip(plan.splices, texts, strict=True) if text is not None]
    if not kept:
        return header, body
    body = _spliced(content, replace(plan, splices=tuple(splice for splice, _ in kept)), [text for _, text in kept])
    if has_long_line(body) and part.encoding not in (BASE64, QUOTED_PRINTABLE):
        return reencoded(part, header, body)
    return header, body


def _spliced(content: bytes, plan: PartPlan, texts: list[bytes]) -> bytes:
    """Return the body of the part with the texts spliced in, in its own transfer encoding."""
    part = plan.part
    if plan.decoded is not None:
        encoded = content[part.body : part.end]
        ending = b"\r\n" if encoded.endswith(b"\r\n") else b""
        decoded = _joined(plan.decoded, 0, len(plan.decoded), plan.splices, texts)
        return encode_base64(decoded, base64_line(encoded)) + ending
    if part.encoding == QUOTED_PRINTABLE:
        texts = _quoted(content, plan, texts)
    return _joined(content, part.body, part.end, plan.splices, texts)


def _joined(source: bytes, start: int, end: int, splices: tuple[Splice, ...], texts: list[bytes]) -> bytes:
    pieces: list[bytes] = []
    for splice, text in zip(splices, texts, strict=True):
        pieces += (source[start : splice.start], text)
        start = splice.end
    pieces.append(source[start:end])
    return b"".join(pieces)


def _quoted(content: bytes, plan: PartPlan, texts: list[bytes]) -> list[bytes]:
    """Return the texts in quoted-printable, with soft breaks that fit the lines around them."""
    quoted: list[bytes] = []
    at, column = plan.part.body, 0
    for splice, text in zip(plan.splices, texts, strict=True):
        line_start = content.rfind(b"\n", at, splice.start) + 1
        column = splice.start - line_start if line_start else column + splice.start - at
        line_end = content.find(b"\r\n", splice.end, plan.part.end)
        rest = (plan.part.end if line_end < 0 else line_end) - splice.end
        encoded, column = quote(text, column, rest)
        quoted.append(encoded)
        at = splice.end
    return quoted
