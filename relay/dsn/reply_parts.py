"""Extracts codes, phase and requested delay from a reply, and masks its variable parts."""

import re

from relay.dsn.address_pattern import ADDRESS

_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]|\.\d)")

_CODE_AND_STATUS = re.compile(r"(?<![\d.])([245])\d\d[- ]{1,3}[#(\[]{0,2}(([245])\.\d{1,3}\.\d{1,3})(?!\d|\.\d)")

_CODE = re.compile(r"(?<![\d.:/-])([45]\d\d)(?=[ \-:;,#\])]|$)(?!-\d{3}[-\d])")

_STATUS_FIELD = re.compile(r"\s{0,10}([245])[.,](\d{1,3})[.,](\d{1,3})")

_PHASE = re.compile(
    r"(?:in reply to|in response to|\bafter|did not like our|reply to the|sending|issuing|\[|>>>)\s{0,3}(?:the )?"
    r"(?:(rcpt[ _]to|recipient command)|(mail[ _]from|sender command)|((?:end of )?data\b|message content|\.\]|bdat)"
    r"|((?:ehlo|helo|lhlo)\b)|(initial connection|connect\b|banner))|(refused to talk to me)",
    re.IGNORECASE,
)

_QMAIL_PHASE = re.compile(
    r"(?P<connect>but greeting failed|failed the initial connection)|(?P<ehlo>but my name was rejected)"
    r"|(?P<mail>but sender was rejected)|(?P<rcpt>does not like recipient)"
    r"|(?P<data>failed on DATA command|failed after I sent the message)",
    re.IGNORECASE,
)
"""Wordings of qmail and its successors that replace the command."""

_PHASE_NAMES = ("rcpt", "mail", "data", "ehlo", "connect", "connect")

_SCANNED = 4000


def status_in(text: str) -> str:
    """Return the enhanced status in a text, preferably one beside an SMTP code; "" if there is none."""
    text = text[:_SCANNED]
    field = _STATUS_FIELD.match(text)
    if field is not None:
        return ".".join(field.groups())
    beside = [found[2] for found in _CODE_AND_STATUS.finditer(text) if found[1] == found[3]]
    found = beside + [found[0] for found in _STATUS.finditer(text)]
    return next((status for status in found if status[0] != "2"), found[0] if found else "")


def smtp_code(text: str) -> int | None:
    """Return the first SMTP failure code in a text, None if there is none."""
    found = _CODE.search(text[:_SCANNED])
    return int(found[1]) if found else None


def phase_of(text: str) -> str:
    """Return the command that the reply answered: connect, ehlo, mail, rcpt, data; "" if not stated."""
    found = _PHASE.search(text[:_SCANNED])
    if found is not None:
        return _PHASE_NAMES[next(n for n, group in enumerate(found.groups()) if group)]
    found = _QMAIL_PHASE.search(text[:_SCANNED])
    return "" if found is None or found.lastgroup is None else found.lastgroup


_MAX_TEXT = 1000

_ADDRESS = re.compile(rf"<?{ADDRESS.pattern}>?")

_LINK = re.compile(r"\bhttps?://[^\s<>\"']{1,500}", re.IGNORECASE)

_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:[.\-]\d{1,3}){3}(?![\w.]\d)")

_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}(?![\w:])", re.IGNORECASE)

_HOST = re.compile(r"(?<![\w.@-])(?:[a-z0-9_-]{1,63}\.){1,8}[a-z]{2,24}(?![\w-])", re.IGNORECASE)

_ANY_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.]\d)")

_ID = re.compile(r"(?<![\w<])(?=[\w+/-]{6,200}(?![\w+/-]))(?=[\w+/-]{0,200}\d)[\w+/-]{6,200}")

_NUMBER = re.compile(r"(?<![\w.<])\d{1,20}(?![\w.]?\d)")

_LEADING_CODE = re.compile(r"\s{0,9}([245]\d\d)\b[ -]?")

_SPACE = re.compile(r"\s+")


def mask_reply(text: str) -> str:
    """Mask addresses, links, hosts, ids and numbers of a reply, but not its code and enhanced status."""
    code = _LEADING_CODE.match(text)
    rest = text[code.end() if code else 0 :][:_MAX_TEXT]
    statuses = _ANY_STATUS.findall(rest)
    rest = _ADDRESS.sub("<address>", _LINK.sub("<link>", rest))
    rest = _IPV6.sub("<ip>", _IPV4.sub("<ip>", _ANY_STATUS.sub("<status>", rest)))
    rest = _NUMBER.sub("<n>", _ID.sub("<id>", _HOST.sub("<host>", rest)))
    for status in statuses:
        rest = rest.replace("<status>", status, 1)
    return _SPACE.sub(" ", f"{code[1]} {rest}" if code else rest).strip()


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_MAX_WAIT = 7 * 86400.0

_CONTEXT = re.compile(
    r"\b(?:try|retry\w{0,3}|tried|again|wait|gr[ae]y ?list\w{0,4}|resend|re ?attempt|come back"
    r"|defer\w{0,3}|delay\w{0,2})\b"
)

_UNIT = r"(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)"

_AMOUNT = re.compile(
    r"\b(?:in|after|for|wait|within|least|about|next|delay|another)\s?"
    rf"(?:about |approximately |at least |another |the next )?(\d{{1,6}})\s?{_UNIT}\b"
)

_CLOCK = re.compile(r"\b(?:in|after|for|wait)\s(\d{1,3})[: ]([0-5]\d)[: ]([0-5]\d)\b")


def requested_delay(normal: str) -> float | None:
    """Return the seconds that a reply in normal form asks to wait, at most a week; None if it states no time."""
    if _CONTEXT.search(normal) is None:
        return None
    clock = _CLOCK.search(normal)
    if clock is not None:
        return min(_MAX_WAIT, int(clock[1]) * 3600.0 + int(clock[2]) * 60.0 + int(clock[3]))
    amount = _AMOUNT.search(normal)
    if amount is None:
        return None
    return min(_MAX_WAIT, int(amount[1]) * _UNITS[amount[2][0]])
