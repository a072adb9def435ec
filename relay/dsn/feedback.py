"""Feedback reports: complaints, opt-outs, authentication failures (RFC 5965, RFC 6591)."""

import re

from relay.dsn.addresses import ADDRESS, clean_address
from relay.dsn.parts import Header
from relay.dsn.report import Action, Feedback, Recipient

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{2,40})[ \t]{0,4}:[ \t]{0,20}(.{0,2000})")
_LINES = 1000
_TRACES = ("x-original-to", "x-hmxmroriginalrecipient", "delivered-to")


def feedback_type(value: str) -> str:
    """Return a type in lower case, without the comment and quotes some receivers add."""
    words = value.partition("(")[0].partition(";")[0].strip(" \t\"'").lower().split()
    return "-".join(words) or "other"


def parse_feedback(text: str, returned: Header) -> tuple[Feedback, tuple[Recipient, ...]]:
    """Read the fields of a message/feedback-report; the recipients are those who complained.

    Large providers hide the complainer: then the address comes from the returned message's own trace, and where that
    is hidden too there is none (the signed return-path or the Message-ID tells who it was).
    """
    values: dict[str, list[str]] = {}
    for line in text.split("\n")[:_LINES]:
        match = _FIELD.match(line)
        if match is not None:
            values.setdefault(match[1].lower(), []).append(match[2].strip())
    named = values.get("original-rcpt-to", []) + values.get("removal-recipient", [])
    if not named:
        named = [value for name in _TRACES if (value := returned.get(name))]
    if not named:
        named = ADDRESS.findall(returned.get("to"))
    addresses = dict.fromkeys(clean_address(value) for value in named)
    feedback = Feedback(
        feedback_type=feedback_type((values.get("feedback-type") or ["other"])[0]),
        source_ip=(values.get("source-ip") or [""])[0],
        reported_domains=tuple(values.get("reported-domain", [])),
    )
    action: Action = "complained" if feedback.is_complaint else "reported"
    return feedback, tuple(Recipient(address, action) for address in addresses if "@" in address)
