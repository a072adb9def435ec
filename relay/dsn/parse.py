"""Parses returned mail: delivery report, feedback report, failure note, automatic reply, or ordinary mail.

Forms are tried from the most certain to the least: machine-readable fields (RFC 5965, RFC 8098, RFC 3464), notes of
mail systems, automatic replies (RFC 3834).

Other mail is ordinary and never a bounce: a note must come from a mail system and name a failure and its recipient.
"""

from dataclasses import replace

from relay.dsn.address_pattern import ADDRESS, clean_address, is_mail_system
from relay.dsn.auto_reply import is_auto_reply
from relay.dsn.reply_parts import phase_of, smtp_code, status_in
from relay.dsn.report import Action, Feedback, Kind, Recipient, Report
from relay.dsn.report_fields import DeliveryStatus, looks_like_status, parse_feedback, parse_status
from relay.dsn.report_wordings import ANNOUNCES, COMPLAINT_SUBJECT, REFUSAL
from relay.dsn.returned_mail import Received, read
from relay.dsn.ses import read_notice
from relay.dsn.text_report import has_evidence, has_given_up, is_delay
from relay.mail.canonical_address import canonical

_RULES = "*-=_# \t\n"

_MAX_REPORT_TEXT = 8000

_PEOPLE = ("from", "to", "reply-to", "delivered-to", "x-original-to")
"""Fields with the author and the reader of a note."""

_STATUS_PARTS = ("delivery-status", "delivery status", "deliverystatus", "delivery-report")


def parse(content: bytes) -> Report:
    """Parse a raw mail with any bytes and line ends; never raises, linear time."""
    mail = read(content)
    return _enclosed_report(mail) or _report(mail)


def _report(mail: Received) -> Report:
    report = (
        _feedback(mail)
        or _receipt(mail)
        or read_notice(mail.text)
        or _complaint(mail)
        or _delivery_report(mail)
        or _note_or_other(mail)
    )
    message_id = mail.returned.get("message-id").strip()
    return replace(
        report,
        recipients=tuple(_with_status(one) for one in report.recipients),
        message_id=message_id if message_id.startswith("<") else "",
        returned=mail.returned.pairs,
        text=report.text or " ".join(mail.text.split())[:_MAX_REPORT_TEXT],
        cut=mail.breaks_off,
    )


def _with_status(one: Recipient) -> Recipient:
    """Complete a missing status with the undefined one of its class (RFC 3463 section 3.1)."""
    if one.status or one.action in ("complained", "reported"):
        return one
    implied = {"failed": "5", "delayed": "4", "delivered": "2"}[one.action]
    return replace(one, status=f"{str(one.code)[0] if one.code else implied}.0.0")


def _enclosed_report(mail: Received) -> Report | None:
    """Parse a report enclosed in a report, as sent by gateways that scan delivery reports."""
    inside = next((part for part in mail.parts if part.media_type == "message/rfc822"), None)
    if inside is None or not mail.from_system or mail.parts_of(*_STATUS_PARTS, "feedback-report"):
        return None
    if "delivery-status" not in mail.returned.get("content-type").lower():
        return None
    inner = read(inside.decoded())
    report = _report(inner) if inner.from_system else None
    return report if report is not None and report.recipients else None


def _feedback(mail: Received) -> Report | None:
    for part in mail.parts_of("feedback-report"):
        feedback, complained = parse_feedback(part.text(), mail.returned)
        return Report("complaint", complained, feedback=feedback)
    return None


def _complaint(mail: Received) -> Report | None:
    """Parse complaints from before RFC 5965, and those of programs that return the message without fields."""
    if "x-hmxmroriginalrecipient" not in mail.returned and COMPLAINT_SUBJECT.match(mail.subject) is None:
        return None
    _, complained = parse_feedback("Feedback-Type: abuse", mail.returned)
    return Report("complaint", complained, feedback=Feedback("abuse"))


def _receipt(mail: Received) -> Report | None:
    """Parse a receipt (RFC 8098). It is a bounce only from filters that refuse with one (RFC 5429, Dovecot's LDA)."""
    for part in mail.parts_of("disposition-notification"):
        if REFUSAL.search(f"{mail.subject}\n{mail.text[:2000]}") is None:
            return Report("other")
        refused = (replace(one, action="failed") for one in parse_status(part.text()).recipients)
        return Report("bounce", tuple(_with_words(one, mail) for one in refused))
    return None


def _delivery_report(mail: Received) -> Report | None:
    status = _status_fields(mail)
    if status is None or not status.recipients:
        return None
    unique = {canonical(one.address): one for one in reversed(status.recipients)}
    recipients = tuple(_with_words(one, mail) for one in reversed(unique.values()))
    actions = {one.action for one in recipients}
    kind: Kind = "bounce" if "failed" in actions else "delay" if "delayed" in actions else "other"
    return Report(kind, recipients, status.reporting_mta, status.envelope_id)


def _status_fields(mail: Received) -> DeliveryStatus | None:
    """Return the delivery-status fields of their own part, else of the text."""
    for part in mail.parts_of(*_STATUS_PARTS):
        found = parse_status(part.text(), complete=not mail.is_open)
        if found.recipients:
            return found
    text = f"{mail.text}\n{mail.trailing}"
    if looks_like_status(text) and (mail.from_system or mail.parts_of("report")):
        return parse_status(text, complete=not mail.is_open)
    return None


def _with_words(one: Recipient, mail: Received) -> Recipient:
    """Complete a recipient without a diagnostic by the words of the report's text."""
    if one.diagnostic:
        return one
    words = mail.prose.words_about(one.address) or mail.prose.words_about(one.final_address)
    status = one.status or status_in(words)
    return replace(one, diagnostic=words, code=smtp_code(words), phase=phase_of(words), status=status)


def _note_or_other(mail: Received) -> Report:
    named = [clean_address(word) for word in mail.header.get("x-failed-recipients").split(",") if "@" in word]
    declared = "delivery-status" in mail.header.get("content-type").lower() or bool(mail.parts_of(*_STATUS_PARTS))
    subject_fails = mail.subject_names_failure
    automatic = not mail.from_daemon and is_auto_reply(mail.header, mail.text)
    if mail.breaks_off and not mail.text.strip():
        return Report("other")
    if automatic and not (mail.from_system and (subject_fails or named or declared or mail.is_nameless)):
        return Report("auto-reply")
    if named or declared or _reads_as_failure(mail, subject_fails):
        recipients = _named_in_note(mail, named)
        if recipients or declared or subject_fails:
            delayed = recipients[0].action == "delayed" if recipients else is_delay(mail.subject, mail.text)
            if mail.breaks_off and not (delayed or named or has_given_up(mail.text)):
                return Report("other")
            return Report("delay" if delayed else "bounce", recipients)

    return Report("auto-reply" if automatic else "other")


def _reads_as_failure(mail: Received, subject_fails: bool) -> bool:
    """Whether a note is a failure report: a mail system's name and a failure subject suffice; one needs more evidence.

    People answer and forward reports, lists discuss bounces, shops refuse other things than mail. A name that is only
    possibly a mail system's is not enough.
    """
    announces_first = ANNOUNCES.match(mail.text[:400].lstrip(_RULES)) is not None
    if mail.is_list_mail and not mail.returns_message:
        return False
    if mail.is_answer and not (mail.prose.replies or announces_first):
        return False
    if subject_fails and mail.from_daemon:
        return True
    if not has_evidence(mail.text):
        return False
    if mail.from_daemon or mail.is_nameless or mail.has_null_path:
        return True

    announces = mail.from_system and (bool(mail.prose.replies) or ANNOUNCES.search(mail.text[:600]) is not None)
    return subject_fails and (mail.returns_message or announces_first or announces)


def _named_in_note(mail: Received, named: list[str]) -> tuple[Recipient, ...]:
    """Return the recipients that a note names, else those of the returned message.

    Author, reader and postmasters are excluded first. They are included if no other recipient is found, but not in a
    note that ends early: its recipient may be missing.
    """
    action: Action = "delayed" if is_delay(mail.subject, mail.text) else "failed"
    people = [clean_address(mail.header.get(name)) for name in _PEOPLE]
    prose = mail.prose
    found = (
        prose.recipients(named, people, action)
        or prose.bare_recipients(people[0].rpartition("@")[2], action)
        or prose.recipients([], people, action, machines=True)
    )
    if found:
        return found

    in_subject = [address for address in ADDRESS.findall(mail.subject) if address not in people]
    returned_to = [] if mail.returns_report else ADDRESS.findall(mail.returned.get("to"))
    addressed = [one for one in dict.fromkeys(returned_to or in_subject) if not is_mail_system(one)]
    if mail.is_open:
        return tuple(prose.about(one, action) for one in addressed if one not in people)
    return tuple(prose.about(one, action) for one in addressed) or prose.recipients([], [], action)
