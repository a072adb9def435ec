"""Codes in the text of a report: the SMTP code, the enhanced status code, the command a reply answered."""

import re

_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]|\.\d)")
_CODE_AND_STATUS = re.compile(r"(?<![\d.])([245])\d\d[- ]{1,3}[#(\[]{0,2}(([245])\.\d{1,3}\.\d{1,3})(?!\d|\.\d)")
_CODE = re.compile(r"(?<![\d.:/-])([45]\d\d)(?=[ \-:;,#\])]|$)(?!-\d{3}[-\d])")
_STATUS_FIELD = re.compile(r"\s{0,10}([245])[.,](\d{1,3})[.,](\d{1,3})")
_PHASES = (
    ("rcpt", re.compile(r"rcpt to|recipient command", re.IGNORECASE)),
    ("mail", re.compile(r"mail from|sender command", re.IGNORECASE)),
    ("data", re.compile(r"end of data|\bdata command|\bdata\b(?! base)|message content|\.\)$", re.IGNORECASE)),
    ("ehlo", re.compile(r"\b(?:ehlo|helo)\b", re.IGNORECASE)),
    ("connect", re.compile(r"refused to talk to me|initial connection|greeting", re.IGNORECASE)),
)
_SCANNED = 4000


def status_in(text: str) -> str:
    """Return the enhanced status code a text carries, that beside an SMTP code before any other; "" when none."""
    text = text[:_SCANNED]
    field = _STATUS_FIELD.match(text)
    if field is not None:
        return ".".join(field.groups())
    beside = _CODE_AND_STATUS.search(text)
    if beside is not None and beside[1] == beside[3]:
        return beside[2]
    found = _STATUS.search(text)
    return found[0] if found else ""


def smtp_code(text: str) -> int | None:
    """Return the first SMTP code of failure in a text."""
    found = _CODE.search(text[:_SCANNED])
    return int(found[1]) if found else None


def phase_of(text: str) -> str:
    """Return the command the reply in a text answered: connect, ehlo, mail, rcpt, data; "" when it does not say."""
    low = text[:_SCANNED]
    at = low.lower().find("in reply to")
    scanned = low[at : at + 60] if at >= 0 else low
    return next((name for name, pattern in _PHASES if pattern.search(scanned)), "") if at >= 0 else ""
