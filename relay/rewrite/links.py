"""Finds the links of a message and decides which are tracked."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from relay.frozen import dataclass
from relay.mail.canonical_address import canonical_domain
from relay.mail.domain_name import registrable
from relay.rewrite.character_references import decode_attribute
from relay.rewrite.html_tags import ATTRIBUTES, CONDITIONAL, Tag, attributes, conditional_comment_tags
from relay.rewrite.link_rules import is_sensitive, shown_host
from relay.rewrite.options import Tracking
from relay.rewrite.placeholder_spellings import placeholder_ranges
from relay.rewrite.unsubscribe_links import text_says_unsubscribe, url_says_unsubscribe

MAX_TARGET = 9150
"""Characters of a tracked URL, at most. In base64 with its MAC, it fits the 12 KiB that the tracker reads."""

_LINK_TAGS = frozenset({b"a", b"/a", b"area", CONDITIONAL})

_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")

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

_OFF_SWITCHES = frozenset({b"data-relay-track", b"clicktracking", b"data-msys-clicktrack"})
"""Attributes that exclude a link by a value of `_OFF`: ours, and those of other services."""

_NO_TRACK_MARKS = frozenset(
    {b"data-pm-no-track", b"ses:no-track", b"data-no-track", b"disable-tracking", b"mc:disable-tracking"}
)
"""Attributes that exclude a link by any other value."""

_OFF = frozenset({b"off", b"false", b"no", b"0"})

_SURROUNDING = "".join(map(chr, range(0x21)))
"""Characters that browsers remove around a URL."""

_LINE_ENDS = re.compile(r"[\t\n\r]")
"""Characters that browsers remove inside a URL."""

_SCHEME = re.compile(r"https?:", re.IGNORECASE)

_PLAIN = re.compile(
    r"https?://(?:(?:[\w.~:\[\]!$&'()*+,;=-]|%[0-9a-f]{2})*@)?(?P<host>\w[\w.-]*|\[[0-9a-f:.]+\])(?::\d{1,5})?(?=[/?#]|\Z)"
    r"(?>[\w.~:/?#\[\]@!$&'()*+,;=-]++|%[0-9a-f]{2})*+",
    re.IGNORECASE | re.ASCII,
)


class Reason(StrEnum):
    """The reason for tracking a link or leaving it unchanged."""

    TRACKED = "tracked"
    OPTED_OUT = "opted out in the HTML"
    NOT_HTTP = "not an http or https URL"
    TOO_LONG = "too long: its tracking link would not fit an HTTP request"
    NOT_PLAIN = "not a plain URL: a browser would have to repair it"
    ALREADY_TRACKED = "already a tracking URL"
    UNSUBSCRIBE = "same as a List-Unsubscribe URL"
    SAYS_UNSUBSCRIBE = "its URL or visible text says unsubscribe"
    PLACEHOLDER = "an unsubscribe placeholder"
    EXCLUDED_HOST = "host is excluded"
    SENSITIVE = "looks like a password, login, code or verification link"
    CLIPPED = "Gmail would cut the mail off, because its HTML would become too large"
    VISIBLE_URL = "its visible text is a URL of another domain"


class FoundLink(NamedTuple):
    """One link: the range of its URL in the decoded text, its target, and the reason for tracking it or not."""

    start: int
    end: int
    target: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules for the links of one message."""

    tracking: Tracking
    unsubscribe_urls: frozenset[str] = frozenset()
    base: str = ""
    """Tracking base URL in lower case."""
    tracker_domain: str = ""
    """Registrable domain of the tracker."""
    charset: str = "utf-8"
    """Charset of the part, in lower case."""


def rules(tracking: Tracking, unsubscribe_urls: frozenset[str]) -> Rules:
    """Return the rules of a message with these options and List-Unsubscribe URLs."""
    base = tracking.base_url.rstrip("/").lower()
    match = _PLAIN.fullmatch(base)
    return Rules(tracking, unsubscribe_urls, base, "" if match is None else registrable(match["host"]))


def links(html: bytes, lower: bytes, seen: list[Tag], rule: Rules, shown: bytes | None = None) -> Iterator[FoundLink]:
    """Yield the links among the tags of an HTML text, including those in conditional comments, which Outlook shows.

    `shown` is the text before it was made readable as ASCII, None when that changed nothing.
    """
    anchors = [tag for tag in seen if tag.name in _LINK_TAGS]

    ends: list[int] = []
    following = len(html)
    for tag in reversed(anchors):
        ends.append(following)
        following = following if tag.name == CONDITIONAL else tag.start

    for tag, text_end in zip(anchors, reversed(ends), strict=True):
        if tag.name == CONDITIONAL:
            for hidden in conditional_comment_tags(lower, tag):
                yield from read_link(html, lower, hidden, 0, rule)
        elif tag.name != b"/a":
            yield from read_link(html, lower, tag, text_end if tag.name == b"a" else 0, rule, shown)


def read_link(
    html: bytes, lower: bytes, tag: Tag, text_end: int, rule: Rules, shown: bytes | None = None
) -> Iterator[FoundLink]:
    """Yield the link of one tag, if it has one. Its visible text ends at `text_end`."""
    found = _HREF.match(lower, tag.attributes, tag.end)
    if found is None or found.lastindex is None:
        return

    start, end = found.span(found.lastindex)
    value = decode_attribute(html[start:end].decode("utf-8", "replace"))
    text = html[tag.end : text_end] if rule.tracking.skip_visible_urls and text_end > tag.end else b""
    target, reason = classify_link(value, rule, text)
    if reason is Reason.TRACKED and lower.find(b"track", tag.attributes, tag.end) >= 0 and _opts_out(lower, tag):
        reason = Reason.OPTED_OUT
    if reason is Reason.TRACKED and _shows_unsubscribe(html, lower, tag, text_end, rule, shown):
        reason = Reason.SAYS_UNSUBSCRIBE
    yield FoundLink(start, end, target, reason)


def _shows_unsubscribe(html: bytes, lower: bytes, tag: Tag, text_end: int, rule: Rules, shown: bytes | None) -> bool:
    """Whether the visible text of a link, from the end of its tag to `text_end`, says unsubscribe."""
    if not rule.tracking.skip_unsubscribe or text_end <= tag.end:
        return False
    if shown is None:
        return text_says_unsubscribe(html[tag.end : text_end], lower[tag.end : text_end], rule.charset)
    text = shown[tag.end : text_end]
    return text_says_unsubscribe(text, text.lower(), rule.charset)


def _opts_out(lower: bytes, tag: Tag) -> bool:
    """Whether an attribute of the tag excludes the link from tracking."""
    return any(
        (name in _OFF_SWITCHES and value.strip() in _OFF) or (name in _NO_TRACK_MARKS and value.strip() not in _OFF)
        for name, value in attributes(lower, tag)
    )


def classify_link(value: str, rule: Rules, text: bytes = b"") -> tuple[str, Reason]:
    """Return the target of a link with this decoded value, and the reason for tracking it or not.

    Browsers remove white space around the value and line ends in it, so the target has neither. A value that needs any
    other repair is not tracked. `text` is the HTML between the tags of the link.
    """
    target = value
    plain = _PLAIN.fullmatch(target)
    if plain is None:
        target = _LINE_ENDS.sub("", value.strip(_SURROUNDING))
        plain = _PLAIN.fullmatch(target)
        if plain is None:
            if _has_placeholder(value):
                return value, Reason.PLACEHOLDER
            return value, Reason.NOT_PLAIN if _SCHEME.match(target) else Reason.NOT_HTTP

    if is_refused(plain["host"].lower()):
        return target, Reason.NOT_PLAIN
    if len(target) > MAX_TARGET:
        return target, Reason.TOO_LONG

    base = rule.base
    if target[: len(base)].lower() == base and target[len(base) : len(base) + 1] in ("", "/", "?", "#"):
        return target, Reason.ALREADY_TRACKED
    if target in rule.unsubscribe_urls:
        return target, Reason.UNSUBSCRIBE
    if _has_placeholder(target):
        return target, Reason.PLACEHOLDER

    tracking = rule.tracking
    if tracking.skip_unsubscribe and url_says_unsubscribe(target):
        return target, Reason.SAYS_UNSUBSCRIBE
    if tracking.exclude_hosts and is_excluded(canonical_domain(plain["host"]), tracking.exclude_hosts):
        return target, Reason.EXCLUDED_HOST
    if tracking.skip_sensitive and is_sensitive(target):
        return target, Reason.SENSITIVE
    if text and (shown := shown_host(text)) and registrable(shown) != rule.tracker_domain:
        return target, Reason.VISIBLE_URL
    return target, Reason.TRACKED


def _has_placeholder(value: str) -> bool:
    """Whether an attribute value has a placeholder, which the relay replaces by an unsubscribe link."""
    if "nsub" not in value and "nsub" not in value.lower():
        return False
    return bool(placeholder_ranges(value.encode("utf-8", "replace")))


def is_excluded(host: str, patterns: tuple[str, ...]) -> bool:
    """Whether a lower-case host equals a pattern, or is below a pattern that begins with "*."."""
    return any(
        host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))
        for pattern in map(str.lower, patterns)
    )


def header_urls(value: bytes) -> frozenset[str]:
    """Return the http(s) URLs of a List-Unsubscribe value (RFC 2369: each in angle brackets, white space ignored)."""
    bare = re.sub(r"\s", "", value.decode("latin-1"))
    return frozenset(url for url in re.findall(r"<([^<>]+)>", bare) if _SCHEME.match(url))


def is_refused(host: str) -> bool:
    """Whether browsers refuse a lower-case host, because it ends in a number and is no IPv4 address."""
    labels = host.removesuffix(".").split(".")
    if not _NUMBER.fullmatch(labels[-1]):
        return False
    if len(labels) > 4:
        return True
    values = [_value(label) for label in labels]
    if None in values:
        return True
    numbers = [value for value in values if value is not None]
    return any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers))


def _value(label: str) -> int | None:
    """Return the number of a hexadecimal, octal or decimal label, None for any other label."""
    if not _NUMBER.fullmatch(label) or len(label) > 40:
        return None
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    if len(label) > 1 and label.startswith("0"):
        return int(label, 8) if set(label) <= set("01234567") else None
    return int(label)
