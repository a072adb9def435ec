"""The rule for links that say "unsubscribe" in their URL or visible text: they stay untracked."""

import re
from html import unescape
from urllib.parse import quote, unquote

from relay.mail.unsubscribe_words import SAYS_UNSUBSCRIBE

MAX_TEXT = 512
"""Octets of the HTML of a link that is searched, at most."""

_MAX_SHOWN = 80
"""Characters of a visible text that is about unsubscribing, at most: a headline may only mention it."""

_MAX_WORDS = 7
"""Words in a segment of a URL that is about unsubscribing, at most."""

_ASCII_HINTS = (
    "unsub|subscri|suscri|inscri|inscrev|iscri|opt|meld|abbestell|abzubestell|austrag|auszutrag|ndigen|sabonn|baja|adastr"
    "|assinatura|uitschrij|te schrijven|wypis|rezygn|subskryp|boneli|yeli|berhenti|avregistrer|prenumer|tilau|odhl"
    "|leiratkoz|dezabon"
)

_HINTS = (
    "отпи|подписк|відпис|退订|退訂|取消|停止|解除|中止|ストップ|キャンセル|抹消|退会|수신|구독|اشتراك|إشتراك|सदस्यता|सब्सक्रिप्शन|अनसब्सक्राइब"
    "|আনসাবস্ক্রাইব|সাবস্ক্রিপশন|সদস্যতা|đăng ký|ยกเลิก|απεγγραφή|διαγραφή|הסר|ביטול"
)

_SPELLINGS = {form for hint in _HINTS.split("|") for form in (hint, hint.upper(), hint.capitalize())}

ASCII_HINTS = tuple(hint.encode() for hint in _ASCII_HINTS.split("|"))
"""Octets in lower case, of which an ASCII text or URL about unsubscribing has one. They are searched first.

A text without any is not examined further. Most of them need no accent, so that its spelling does not matter.
"""

UTF8_HINTS = tuple(sorted(form.encode() for form in _SPELLINGS))
"""The same for texts in UTF-8 that are not ASCII, beside those."""

PERCENT_HINTS = tuple(sorted({quote(form).lower().encode() for form in _SPELLINGS}))
"""The same for URLs with percent-encoded octets."""

REFERENCE = b"&#"
"""Octets that begin a numeric character reference: a text may spell its letters so."""

ESCAPE = b"\x1b$"
"""Octets that begin a run of two-byte characters in ISO-2022-JP (RFC 1468)."""

UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
"""Charsets whose texts are searched for hints. In others, every text that is not ASCII is examined."""

_ASCII, _UTF8, _PERCENT = (
    re.compile(b"|".join(map(re.escape, hints))) for hints in (ASCII_HINTS, UTF8_HINTS, PERCENT_HINTS)
)

_MARKUP = re.compile(rb"<!--.*?-->|<[^>]*+>", re.DOTALL)

_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200d\u2060\ufeff]")

_BETWEEN_WORDS = re.compile(r"[\s\u00a0.,;:!?\"'’«»„“”()\[\]{}<>|/\\_*+=~-]+")

_SEGMENT = re.compile(r"[/?#&;=]")


def url_says_unsubscribe(url: str) -> bool:
    """Whether a plain http(s) URL has a host label, path segment or query that says it."""
    lower = url.lower()
    octets = lower.encode("utf-8", "surrogatepass")
    if not (_ASCII.search(octets) or (b"%" in octets and _PERCENT.search(octets))):
        return False
    return any(_segment_says(unquote(segment)) for segment in _SEGMENT.split(lower.partition("://")[2]))


def text_says_unsubscribe(html: bytes, lower: bytes, charset: str) -> bool:
    """Whether the HTML of a link shows a short text that says it. `lower` is the same in lower case."""
    if len(html) > MAX_TEXT or not may_say_unsubscribe(lower, charset):
        return False
    shown = unescape(_MARKUP.sub(b"", html).decode(_codec(charset), "replace"))
    words = _BETWEEN_WORDS.sub(" ", _INVISIBLE.sub("", shown)).strip()
    return len(words) <= _MAX_SHOWN and _says(words)


def may_say_unsubscribe(lower: bytes, charset: str) -> bool:
    """Whether a text in lower case is worth examining."""
    if REFERENCE in lower or ESCAPE in lower or _ASCII.search(lower):
        return True
    return not lower.isascii() and (charset not in UTF8 or _UTF8.search(lower) is not None)


def _segment_says(segment: str) -> bool:
    words = _BETWEEN_WORDS.sub(" ", segment).strip()
    return words.count(" ") < _MAX_WORDS and _says(words)


def _says(words: str) -> bool:
    lower = words.lower().replace("i\u0307", "i")
    return SAYS_UNSUBSCRIBE.search(lower) is not None or lower in ("baja", "dar de baja")


def _codec(charset: str) -> str:
    try:
        "".encode(charset)
    except (LookupError, UnicodeError):
        return "utf-8"
    return charset
