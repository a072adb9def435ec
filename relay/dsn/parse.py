"""Understand a mail that comes back: delivery report, feedback report, failure note, robot's answer, or none of them.

The forms are tried from the most certain to the least: fields for machines (RFC 5965, RFC 3464), then a note for
people from a mail system, then the marks of automatic answers (RFC 3834). What is left is ordinary mail, and ordinary
mail is never called a bounce: a note must come from a mail system and say that something failed and for whom.
"""

import re
from dataclasses import replace

from relay.dsn.addresses import ADDRESS, clean_address, is_machine
from relay.dsn.auto_reply import is_auto_reply
from relay.dsn.feedback import parse_feedback
from relay.dsn.parts import Header, Part, normal_lines, read_header, walk
from relay.dsn.prose import about, bare_recipients, has_evidence, is_delay, read_prose
from relay.dsn.report import Action, Feedback, Kind, Recipient, Report
from relay.dsn.ses_notice import read_notice
from relay.dsn.returned import RETURNED_TYPES, returned_header, split_report
from relay.dsn.status_fields import DeliveryStatus, looks_like_status, parse_status

_MAX_REPORT_TEXT = 8000
_SYSTEM_FROM = re.compile(
    r"mailer-?_?daemon|mail-daemon|postmaster|mail ?delivery|mail ?administrator|maildaemon|mdaemon|system ?admin|delivery (?:sub)?system|"
    r"bounce|mail(?:er)? ?(?:system|server|router|gateway)|mta\b|daemon@|email ?firewall|gateway|virus|exchange|noreply@.{0,30}google|nobody@|root@|postfix|smtp|mailsweeper|scanmail|antigen|mailmarshal|@mail\.|\bmailer\b|no-?reply|undeliver|failure",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"undeliver|non.?deliver|deliver.{0,40}(?:fail|status|report|error|problem|notif|delay|warn|impossible)|(?:fail|error|problem|unable|notif|warn|could not|cannot).{0,40}(?:deliver|sending|mail|message)|failure notice|"
    r"return(?:ed|ing)?[ :-]{1,3}(?:mail|to sender|message|e-?mail|undeliver)|mail.{0,20}(?:fail|error|return|undeliver|reject|bounce|blocked|could not)|reject|bounced?\b|user unknown|unknown user|not (?:be )?delivered|"
    r"warning: (?:message|could)|message .{0,60}(?:delayed|not delivered|blocked|rejected|refused|bounced)|delayed|unsolicited bulk|virus|spam|blocked|address .{0,20}(?:invalid|unknown|not)|over ?quota|mailbox full|nondelivery|ndn\b|ndr\b|"
    r"unzustellbar|zustell|nicht zugestellt|non remis|échec|non distribu|no entregad|no se (?:pudo|ha podido)|devuelto|não entregue|falha|devolvid|mancat[ao]|impossibile|onbestelbaar|не ?доставлен|недоставлен|ошибка|возврат|配信|配送|送信|エラー|メール|返送|退信|退回|投递|失败|失敗|전송|반송",
    re.IGNORECASE,
)
_DAEMON = re.compile(r"mailer-?_?daemon|postmaster@|mail delivery (?:sub)?system", re.IGNORECASE)
_COMPLAINT = re.compile(
    r"\s{0,5}(?:complaint about message|e-?mail feedback report|(?:spam|abuse|feedback|fbl) (?:complaint |feedback )?report|(?:spam )?complaint (?:from|report)|fw: .{0,20}spam complaint)",
    re.IGNORECASE,
)
_DSN_TYPES = ("delivery-status", "delivery status", "deliverystatus", "delivery-report")


def parse(content: bytes) -> Report:
    """Understand a raw mail, whatever its bytes and line ends; never raises, and works in linear time."""
    mail = normal_lines(content)
    header = read_header(mail)
    parts = walk(mail)
    human, trailing = split_report(_human_text(parts))
    returned = returned_header(parts, trailing)
    report = _report(header, parts, human, trailing, returned)
    return replace(
        report,
        message_id=_message_id(returned),
        returned=returned.pairs,
        text=" ".join(human.split())[:_MAX_REPORT_TEXT],
    )


def _report(header: Header, parts: list[Part], human: str, trailing: str, returned: Header) -> Report:
    for part in parts:
        if "feedback-report" in part.media_type:
            feedback, complained = parse_feedback(part.text(), returned)
            return Report("complaint", complained, feedback=feedback)
    if any("disposition-notification" in part.media_type for part in parts):
        return Report("other")
    if (notice := read_notice(human)) is not None:
        return notice
    if "x-hmxmroriginalrecipient" in returned or _COMPLAINT.match(header.text("subject")[:200]):
        _, complained = parse_feedback("", returned)
        return Report("complaint", complained, feedback=Feedback("abuse"))
    from_system = _from_system(header)
    status = _delivery_status(parts, human + "\n" + trailing, from_system)
    if status is not None and status.recipients:
        return _status_report(status, human)
    named = [clean_address(word) for word in header.get("x-failed-recipients").split(",") if "@" in word]
    declared = "delivery-status" in header.get("content-type").lower() or status is not None
    told = _SUBJECT.search(header.text("subject")[:300]) is not None
    automatic = is_auto_reply(header, human)
    if automatic and not (from_system and (told or named or declared)):
        return Report("auto-reply")
    if named or declared or _reads_as_failure(header, human, from_system, told, _has_returned(parts, trailing)):
        recipients = _prose_recipients(header, human, returned, named)
        if recipients or declared or told:
            kind: Kind = "delay" if recipients and recipients[0].action == "delayed" else "bounce"
            return Report(kind, recipients, reporting_mta=status.reporting_mta if status else "")
    return Report("auto-reply" if automatic else "other")


def _reads_as_failure(header: Header, human: str, from_system: bool, told: bool, returns: bool) -> bool:
    """A mail system's name and a subject that tells of failure speak for themselves; one of the two needs more."""
    if told and _DAEMON.search(header.text("from")[:200]) is not None:
        return True
    return has_evidence(human) and (from_system or (told and returns))


def _human_text(parts: list[Part]) -> str:
    shown = [part for part in parts if part.media_type.startswith("text/") and part.media_type not in RETURNED_TYPES]
    shown = shown[: _index_of_returned(parts, shown)]
    plain = "\n".join(part.text() for part in shown if part.media_type != "text/html")
    if len(plain.strip()) > 40:
        return plain
    return plain + "\n" + "\n".join(part.text() for part in shown if part.media_type == "text/html")


def _index_of_returned(parts: list[Part], shown: list[Part]) -> int:
    """Text parts after the returned message are lists' footers and the like, unless none stands before it."""
    count = 0
    for part in parts:
        if part.media_type in RETURNED_TYPES and count:
            return count
        count += part in shown
    return len(shown)


def _delivery_status(parts: list[Part], text: str, from_system: bool) -> DeliveryStatus | None:
    for part in parts:
        if any(name in part.media_type for name in _DSN_TYPES):
            found = parse_status(part.text())
            if found.recipients:
                return found
    if looks_like_status(text) and (from_system or any("report" in part.media_type for part in parts)):
        return parse_status(text)
    for part in parts:
        if any(name in part.media_type for name in _DSN_TYPES):
            return parse_status(part.text())
    return None


def _status_report(status: DeliveryStatus, human: str) -> Report:
    recipients = tuple(_with_words(one, human) for one in _unique(status.recipients))
    actions = {one.action for one in recipients}
    kind: Kind = "bounce" if "failed" in actions else "delay" if "delayed" in actions else "other"
    return Report(kind, recipients, status.reporting_mta, status.envelope_id)


def _with_words(one: Recipient, human: str) -> Recipient:
    """A recipient whose fields give no reason gets the words the report has for people."""
    if one.diagnostic:
        return one
    told = read_prose(human, [one.address], [], one.action)
    words = told[0] if told else about(human, one.address, one.action)
    return replace(
        one, diagnostic=words.diagnostic, code=words.code, phase=words.phase, status=one.status or words.status
    )


def _prose_recipients(header: Header, human: str, returned: Header, named: list[str]) -> tuple[Recipient, ...]:
    action: Action = "delayed" if is_delay(header.text("subject") + "\n" + human) else "failed"
    excluded = [
        clean_address(header.get("from")),
        clean_address(header.get("to")),
        clean_address(header.get("reply-to")),
    ]
    found = read_prose(human, named, excluded, action)
    if not found:
        found = bare_recipients(human, clean_address(header.get("from")).rpartition("@")[2], action)
    if not found:
        found = read_prose(human, [], [], action)
    if found:
        return found
    addresses = dict.fromkeys(ADDRESS.findall(returned.get("to")))
    return tuple(about(human, address, action) for address in addresses if not is_machine(address))


def _unique(recipients: tuple[Recipient, ...]) -> list[Recipient]:
    return list({one.address.lower(): one for one in reversed(recipients)}.values())[::-1]


def _from_system(header: Header) -> bool:
    sender = header.text("from") or header.get("return-path")
    null = header.get("return-path").strip() in ("<>", "")
    return (
        _SYSTEM_FROM.search(sender[:300]) is not None
        or (header.get("return-path").strip() == "<>")
        or "x-failed-recipients" in header
        or (null and not sender)
    )


def _has_returned(parts: list[Part], trailing: str) -> bool:
    return bool(trailing.strip()) or any(part.media_type in RETURNED_TYPES for part in parts)


def _message_id(returned: Header) -> str:
    value = returned.get("message-id").strip()
    return value if value.startswith("<") else ""
