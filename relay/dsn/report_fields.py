"""Parses delivery-status fields (RFC 3464) and feedback-report fields (RFC 5965)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from relay.dsn.address_pattern import ADDRESS, clean_address
from relay.dsn.mime_parts import Header
from relay.dsn.reply_parts import phase_of, smtp_code, status_in
from relay.dsn.report import Action, Feedback, Recipient

_MAX_LINES = 4000

_MAX_RECIPIENTS = 200

_MAX_DIAGNOSTIC = 2000

_FIELD = re.compile(r"[ >]{0,4}([A-Za-z][A-Za-z0-9-]{2,40})[ \t]{0,4}:[ \t]{0,40}(.{0,4000})")

_RECIPIENT_LINE = re.compile(
    r"^[ ]{0,4}(?:final|original)[- ]?rec[ei]p[ei]*nt[ \t]{0,4}:", re.IGNORECASE | re.MULTILINE
)

_ACTION_LINE = re.compile(r"^[ ]{0,4}(?:action|status)[ \t]{0,4}:", re.IGNORECASE | re.MULTILINE)

_TYPE = re.compile(
    r"\s{0,20}(?:rfc[-/]?822|smtp|x\.?400|dns|dsn|unix|utf-8|unknown|local|x-[\w-]{1,30}|x_[\w-]{1,30}|822|international)\s{0,5};\s{0,20}",
    re.IGNORECASE,
)

_NAMES = {
    "final-recipient": "final",
    "finalrecipient": "final",
    "final-recepient": "final",
    "original-recipient": "original",
    "original-recepient": "original",
    "x-original-recipient": "original",
    "x-actual-recipient": "actual",
    "action": "action",
    "status": "status",
    "remote-mta": "remote",
    "diagnostic-code": "diagnostic",
    "diagnostic": "diagnostic",
    "diagnosticcode": "diagnostic",
    "x-smtp-diagnostic": "diagnostic",
    "x-supplementary-info": "supplement",
}

_ACTIONS: dict[str, Action] = {
    "fail": "failed",
    "failed": "failed",
    "failure": "failed",
    "error": "failed",
    "expired": "failed",
    "undeliverable": "failed",
    "bounced": "failed",
    "dropped": "failed",
    "rejected": "failed",
    "delayed": "delayed",
    "delay": "delayed",
    "deferred": "delayed",
    "delivered": "delivered",
    "deliverable": "delivered",
    "relayed": "delivered",
    "relay": "delivered",
    "expanded": "delivered",
    "success": "delivered",
}


@dataclass(slots=True)
class _Block:
    values: dict[str, str] = field(default_factory=dict)

    def store(self, name: str, value: str) -> None:
        """Store a field's value; the first non-empty one of a name applies."""
        if not self.values.get(name):
            self.values[name] = value


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """Parsed delivery-status fields: per-message fields and the recipients in order."""

    recipients: tuple[Recipient, ...]
    reporting_mta: str
    envelope_id: str


def looks_like_status(text: str) -> bool:
    """Whether a text has recipient fields of a delivery report at line starts."""
    return _RECIPIENT_LINE.search(text) is not None and _ACTION_LINE.search(text) is not None


def parse_status(text: str, *, complete: bool = True) -> DeliveryStatus:
    """Parse the fields of a delivery report; other lines are ignored.

    If the fields are not `complete`, the last recipient is omitted unless its action or status is a failure.
    """
    message: dict[str, str] = {}
    blocks: list[_Block] = []
    current = _Block()

    separated = False
    for name, value in _fields(text):
        if not name:
            separated = True
            continue
        key = _NAMES.get(name)
        if key is None:
            message.setdefault(name, value)
            continue
        if _begins_next(current, key, separated):
            blocks.append(current)
            current = _Block()
            if len(blocks) >= _MAX_RECIPIENTS:
                break
        separated = False
        current.store(key, value)

    if complete or "action" in current.values or current.values.get("status", "").strip().startswith("5"):
        blocks.append(current)

    recipients = tuple(made for block in blocks if (made := _recipient(block.values)) is not None)
    reporting_mta = without_type(message.get("reporting-mta", ""))
    return DeliveryStatus(recipients, reporting_mta, message.get("original-envelope-id", ""))


def without_type(value: str) -> str:
    """Return a typed value (`dns; mx.example`, `smtp; 550 ...`) without its type (RFC 3464 section 2.1.2)."""
    return _TYPE.sub("", value, count=1).strip()


def _begins_next(block: _Block, key: str, separated: bool) -> bool:
    """Whether a field begins the next recipient: it is in the block already, or is a recipient after a blank line."""
    values = block.values
    has_recipient = "final" in values or "original" in values
    if key in ("final", "original"):
        return key in values or (separated and has_recipient)
    return key in ("action", "status") and key in values and separated and has_recipient


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Yield (lower-case name, unfolded value); ("", "") for a blank line."""
    name, value = "", ""
    for line in text.split("\n")[:_MAX_LINES]:
        if not line.strip():
            if name:
                yield name, value.strip()
            yield "", ""
            name = ""
            continue
        match = _FIELD.match(line)
        if match is not None and not (line[0] == " " and match[1].lower() not in _NAMES):
            if name:
                yield name, value.strip()
            name, value = match[1].lower(), match[2]
        elif name and len(value) < _MAX_DIAGNOSTIC:
            value += " " + line.strip()

    if name:
        yield name, value.strip()


def _recipient(values: dict[str, str]) -> Recipient | None:
    final = _address(values.get("final", ""))
    original = _address(values.get("original", ""))
    if not final and not original:
        return None

    diagnostic = without_type(values.get("diagnostic", ""))[:_MAX_DIAGNOSTIC]
    status = _status(values.get("status", ""), diagnostic)
    return Recipient(
        address=original if "@" in original or not final else final,
        action=_action(values.get("action", ""), status),
        status=status,
        code=smtp_code(diagnostic),
        diagnostic=diagnostic or _comment(values.get("status", "")),
        phase=phase_of(diagnostic),
        remote_mta=without_type(values.get("remote", "")),
        final_address=final,
    )


def _address(value: str) -> str:
    return clean_address(without_type(value))


def _action(value: str, status: str) -> Action:
    word = re.match(r"[a-z]*", value.strip().lower())
    known = _ACTIONS.get(word[0] if word else "")
    if known is not None:
        return known
    return "delivered" if status.startswith("2") else "failed"


def _status(value: str, diagnostic: str) -> str:
    """Return the status of the field, or a more specific one in the diagnostic if the field is X.0.0."""
    in_field = status_in(value)
    in_diagnostic = status_in(diagnostic)
    if not in_field:
        return in_diagnostic
    vague = in_field.endswith(".0.0")
    return in_diagnostic if vague and in_diagnostic and in_diagnostic[0] == in_field[0] else in_field


def _comment(value: str) -> str:
    at = value.find("(")
    return value[at:].strip("() ") if at >= 0 else ""


_FEEDBACK_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{2,40})[ \t]{0,4}:[ \t]{0,20}(.{0,2000})")

_LINES = 1000

_COMMENT = re.compile(r"\([^()]{0,200}\)")

_TRACES = ("x-original-to", "x-hmxmroriginalrecipient", "delivered-to")


def feedback_type(value: str) -> str:
    """Return a feedback type in lower case, without comments and quotes."""
    words = _COMMENT.sub(" ", value).partition("(")[0].partition(";")[0].strip(" \t\"'").lower().split()
    return "-".join(words) or "other"


def parse_feedback(text: str, returned: Header) -> tuple[Feedback, tuple[Recipient, ...]]:
    """Parse the fields of a message/feedback-report; its recipients are those who complained.

    Large providers redact the recipient. The address is then taken from trace fields of the returned message, if
    present. The signed return-path or the Message-ID identify the recipient otherwise.
    """
    values: dict[str, list[str]] = {}
    found: list[str] = []
    for line in text.split("\n")[:_LINES]:
        match = _FEEDBACK_FIELD.match(line)
        if match is not None:
            found = values.setdefault(match[1].lower(), [])
            found.append(match[2].strip())
        elif found and line[:1] in (" ", "\t") and len(found[-1]) < _MAX_DIAGNOSTIC:
            found[-1] = f"{found[-1]} {line.strip()}".strip()

    named = values.get("original-rcpt-to", []) + values.get("removal-recipient", [])
    if not named:
        named = [value for name in _TRACES if (value := returned.get(name))]
    if not named:
        named = ADDRESS.findall(returned.get("to"))

    addresses = dict.fromkeys(clean_address(value) for value in named)
    feedback = Feedback(feedback_type((values.get("feedback-type") or ["other"])[0]))
    action: Action = "complained" if feedback.is_complaint else "reported"
    return feedback, tuple(Recipient(address, action) for address in addresses if "@" in address)
