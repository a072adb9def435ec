"""Removes reply prefixes, forward prefixes and tags from subjects. Pure."""

import re

_TAG = (
    r"\[[^\[\]]{0,60}\]|\{[^{}]{0,60}\}|\*{1,9}[^*]{1,40}\*{1,9}|[<(](?:ext(?:ern\w{0,2})?"
    r"|spam)(?: [^<>()]{0,30})?[)>]"
    r"|【[^【】]{0,60}】|\W?\s?(?:ext(?:ern\w{0,2})?|spam\??|caution)(?: (?:e-?mail|mail|message|sender))?\s?[:：|]"
    r"|(?:ext(?:ern(?:al)?)?)(?: (?:e-?mail|mail|message|sender))? [-–](?= )"
    r"|(?:(?:ticket|case|request|incident|issue|anfrage|vorgang|demande|caso|chamado"
    r"|zgłoszenie)\s?)?[#№]\s?\d{1,20}\s?(?:[:：|]| [-–] )"
)
"""Tags of lists, ticket systems and gateways: "[#12]", "[EXTERNAL]", "***SPAM***", "EXT:", "Ticket #12 - "."""

_ANSWER = (
    r"re|aw|antw(?:ort|oord)?|sv|svar|odp|odpověď|odg|r|rif|ref|res|resp|réf|rép|ynt|yan|cevap|vá|válasz|atb|ats"
    r"|bls|tl"
    r"|απ|απάντηση|σχετ|отв|ответ|на|відп|відповідь|תשובה|השב|رد|پاسخ|ตอบ(?:กลับ)?|trả lời|回复|回覆|答复|答覆"
    r"|返信|返"
    r"|답장|회신|vast"
)

_FORWARD = (
    r"fwd?|frw|wg|tr|rv|enc|i|vb|doorst|vl|vs|fs|pd|trs|trans|továbbítás|ilt|i̇lt|πρθ|προώθηση|пер|пересл|переслано"
    r"|הועבר|إعادة توجيه|ส่งต่อ|chuyển tiếp|转发|轉寄|轉發|転送|전달"
)

_COUNT = r"(?:\s?(?:\[\d{1,3}\]|\(\d{1,3}\)|\^\d{1,3}|-\d{1,3}))?\s{0,2}[:：]"

_LEADING = re.compile(
    rf"\s{{0,20}}(?:(?:(?P<answer>{_ANSWER})|(?P<forward>{_FORWARD})){_COUNT}|(?P<tag>{_TAG}))", re.IGNORECASE
)

_MAX_PREFIXES = 12
"""Maximum number of prefixes and tags removed."""


def base_subject(subject: str) -> str:
    """Return a decoded subject without the prefixes of answers and forwards and without tags (RFC 5256 section 2.1)."""
    return _split_prefixes(subject)[0]


def is_forwarded(subject: str) -> bool:
    """Whether the outermost prefix of a decoded subject is one of forwarded mail."""
    return _split_prefixes(subject)[1][:1] == ["forward"]


def is_answer(subject: str) -> bool:
    """Whether a decoded subject begins, after tags, with a reply or forward prefix."""
    return bool(_split_prefixes(subject)[1])


def _split_prefixes(subject: str) -> tuple[str, list[str]]:
    """Return the rest of a subject, and the kinds of its prefixes without tags."""
    kinds: list[str] = []
    at = 0
    for _ in range(_MAX_PREFIXES):
        found = _LEADING.match(subject, at)
        if found is None:
            break
        at = found.end()
        if found.lastgroup in ("answer", "forward"):
            kinds.append(found.lastgroup)
    rest = subject[at:].strip()
    return (rest, kinds) if rest else (subject.strip(), kinds)
