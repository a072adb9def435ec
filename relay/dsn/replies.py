"""Codes in the text of a report: the SMTP code, the enhanced status code, the command a reply answered."""

import re

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
_PHASE_NAMES = ("rcpt", "mail", "data", "ehlo", "connect", "connect")
_SCANNED = 4000


def status_in(text: str) -> str:
    """Return the enhanced status code a text carries, that beside an SMTP code before any other; "" when none."""
    text = text[:_SCANNED]
    field = _STATUS_FIELD.match(text)
    if field is not None:
        return ".".join(field.groups())
    beside = [found[2] for found in _CODE_AND_STATUS.finditer(text) if found[1] == found[3]]
    told = beside + [found[0] for found in _STATUS.finditer(text)]
    return next((status for status in told if status[0] != "2"), told[0] if told else "")


def smtp_code(text: str) -> int | None:
    """Return the first SMTP code of failure in a text."""
    found = _CODE.search(text[:_SCANNED])
    return int(found[1]) if found else None


def phase_of(text: str) -> str:
    """Return the command the reply in a text answered: connect, ehlo, mail, rcpt, data; "" when it does not say."""
    found = _PHASE.search(text[:_SCANNED])
    return "" if found is None else _PHASE_NAMES[next(n for n, group in enumerate(found.groups()) if group)]
