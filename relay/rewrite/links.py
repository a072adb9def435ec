"""Which links may be tracked: plain absolute http(s) URLs that nothing speaks against."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from relay.rewrite.domains import registrable
from relay.rewrite.entities import decode_attribute
from relay.rewrite.html import ATTRIBUTES, CONDITIONAL, Tag, office_tags
from relay.rewrite.sensitive import is_sensitive
from relay.rewrite.tracking import Tracking
from relay.rewrite.visible import shown_host


class Reason(StrEnum):
    """Why a link was tracked or left as it is."""

    TRACKED = "tracked"
    OPTED_OUT = "opted out in the HTML"
    NOT_HTTP = "not an http or https URL"
    NOT_PLAIN = "not a plain URL: a browser would have to repair it"
    ALREADY_TRACKED = "already a tracking URL"
    UNSUBSCRIBE = "same as a List-Unsubscribe URL"
    EXCLUDED_HOST = "host is excluded"
    SENSITIVE = "looks like a password, login, code or verification link"
    VISIBLE_URL = "its visible text is a URL of another domain"


@dataclass(frozen=True, slots=True)
class Found:
    """One link: the range of its URL in the decoded text, where it goes, and why it is tracked or not."""

    start: int
    end: int
    target: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides about the links of one message."""

    tracking: Tracking
    unsubscribe_urls: frozenset[str] = frozenset()
    tracker_host: str = field(default="")

    @property
    def checks_text(self) -> bool:
        """Whether the visible text of a link matters."""
        return self.tracking.skip_visible_urls


_WS = rb"[\t\n\f\r ]"
_OTHER_ATTRIBUTES = ATTRIBUTES.replace(rb"|[^\t", rb"|(?!href[\t\n\f\r />=])[^\t", 1)
_HREF = re.compile(
    _OTHER_ATTRIBUTES
    + rb"href"
    + _WS
    + rb"*+="
    + _WS
    + rb"""*+(?:"([^"]*+)"|'([^']*+)'|([^\t\n\f\r >"'][^\t\n\f\r >]*+))"""
)
_OPT_OUT = re.compile(
    rb"[\t\n\f\r /\"'](?:data-relay-track|clicktracking|data-msys-clicktrack)"
    + _WS
    + rb"*+="
    + _WS
    + rb"*+[\"']?(?:off|false|no|0)[\t\n\f\r />\"']"
    rb"|[\t\n\f\r /\"'](?:data-pm-no-track|ses:no-track|data-no-track|disable-tracking|mc:disable-tracking)"
    rb"(?=[\t\n\f\r />=])(?!" + _WS + rb"*+=" + _WS + rb"*+[\"']?(?:false|0)[\t\n\f\r />\"'])"
)

_OUTER = "".join(map(chr, range(0x21)))
_INNER = re.compile(r"[\t\n\r]")
_SCHEME = re.compile(r"https?:", re.IGNORECASE)
_PLAIN = re.compile(
    r"https?://(?:(?:[\w.~:\[\]!$&'()*+,;=-]|%[0-9a-f]{2})*@)?(?P<host>\w[\w.-]*|\[[0-9a-f:.]+\])(?::\d{1,5})?(?=[/?#]|\Z)"
    r"(?:[\w.~:/?#\[\]@!$&'()*+,;=-]++|%[0-9a-f]{2})*+",
    re.IGNORECASE | re.ASCII,
)


def rules(tracking: Tracking, unsubscribe_urls: frozenset[str]) -> Rules:
    """Return the rules of a message with these switches and List-Unsubscribe URLs."""
    match = _PLAIN.fullmatch(tracking.base_url)
    return Rules(tracking, unsubscribe_urls, "" if match is None else match["host"])


def links(html: bytes, lower: bytes, seen: list[Tag], rule: Rules) -> Iterator[Found]:
    """Yield the links among the tags of an HTML text, those that Outlook finds in conditional comments included."""
    anchors = [tag for tag in seen if tag.name in _LINK_TAGS]
    ends: list[int] = []
    following = len(html)
    for tag in reversed(anchors):
        ends.append(following)
        following = following if tag.name == CONDITIONAL else tag.start
    for tag, text_end in zip(anchors, reversed(ends), strict=True):
        if tag.name == CONDITIONAL:
            for hidden in office_tags(lower, tag):
                yield from _link(html, lower, hidden, 0, rule)
        elif tag.name != b"/a":
            yield from _link(html, lower, tag, text_end if tag.name == b"a" else 0, rule)


_LINK_TAGS = frozenset({b"a", b"/a", b"area", CONDITIONAL})


def _link(html: bytes, lower: bytes, tag: Tag, text_end: int, rule: Rules) -> Iterator[Found]:
    found = _HREF.match(lower, tag.attributes, tag.end)
    if found is None or found.lastindex is None:
        return
    start, end = found.span(found.lastindex)
    value = decode_attribute(html[start:end].decode("latin-1"))
    opted_out = lower.find(b"track", tag.attributes, tag.end) >= 0 and _OPT_OUT.search(lower, tag.attributes, tag.end)
    text = html[tag.end : text_end] if rule.checks_text and text_end > tag.end else b""
    target, reason = judge(value, rule, text)
    if opted_out and reason is Reason.TRACKED:
        reason = Reason.OPTED_OUT
    yield Found(start, end, target, reason)


def judge(value: str, rule: Rules, text: bytes = b"") -> tuple[str, Reason]:
    """Return where a link with this decoded value goes, and whether it may be tracked.

    White space around the value and line ends inside are what browsers drop, so they are no part of the target;
    any other repair is left to the browser. `text` is the HTML the reader sees as the link.
    """
    target = value.strip(_OUTER)
    if _SCHEME.match(target) is None:
        return value, Reason.NOT_HTTP
    target = _INNER.sub("", target)
    plain = _PLAIN.fullmatch(target)
    if plain is None:
        return value, Reason.NOT_PLAIN
    host = plain["host"].lower()
    base = rule.tracking.base_url.rstrip("/")
    if target[: len(base)].lower() == base.lower() and target[len(base) : len(base) + 1] in ("", "/", "?", "#"):
        return target, Reason.ALREADY_TRACKED
    if target in rule.unsubscribe_urls:
        return target, Reason.UNSUBSCRIBE
    if is_excluded(host, rule.tracking.exclude_hosts):
        return target, Reason.EXCLUDED_HOST
    if rule.tracking.skip_sensitive and is_sensitive(target):
        return target, Reason.SENSITIVE
    if text and (shown := shown_host(text)) and registrable(shown) != registrable(rule.tracker_host):
        return target, Reason.VISIBLE_URL
    return target, Reason.TRACKED


def is_excluded(host: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a lower-case host is one of the patterns, or below one that begins with "*."."""
    return any(
        host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))
        for pattern in map(str.lower, patterns)
    )


def header_urls(value: bytes) -> frozenset[str]:
    """Return the http(s) URLs of a List-Unsubscribe value (RFC 2369: each in angle brackets, white space ignored)."""
    bare = re.sub(r"\s", "", value.decode("latin-1"))
    return frozenset(url for url in re.findall(r"<([^<>]+)>", bare) if _SCHEME.match(url))
