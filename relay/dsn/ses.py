"""Parses JSON notifications of Amazon SES by SNS or event publishing (AWS SES developer guide).

Type and subtype of a bounce decide its class. SMTP code, status and diagnostic are present only if the other server
sent a delivery report.
"""

import json
from typing import Any

from relay.dsn.reply_parts import phase_of, smtp_code, status_in
from relay.dsn.report import Action, Feedback, Recipient, Report
from relay.dsn.report_fields import feedback_type, without_type

_MARKS = ("notificationType", "eventType")

_MAX_RECIPIENTS = 100

_REASONS = {
    "noemail": ("1.1", "mailbox does not exist"),
    "suppressed": ("", "address is on the suppression list of the provider"),
    "onaccountsuppressionlist": ("", "address is on the account suppression list"),
    "unsubscribedrecipient": ("", "recipient unsubscribed: address is on the suppression list"),
    "mailboxfull": ("2.2", "mailbox full"),
    "messagetoolarge": ("3.4", "message too large"),
    "contentrejected": ("6.0", "message content rejected"),
    "attachmentrejected": ("6.0", "attachment not allowed"),
    "customtimeoutexceeded": ("4.7", "message expired"),
    "spamdetected": ("7.1", "message considered spam"),
    "internalfailure": ("3.0", "internal error"),
    "recipientservererror": ("3.0", "system error of the receiving server"),
    "transientcommunicationfailure": ("4.2", "connection lost"),
    "ipfailure": ("7.1", "sending IP address blocked or throttled: rate limit exceeded"),
    "byoiphostnamelookupunavailable": ("4.3", "temporary DNS lookup failure"),
}
"""Status detail and reason for bounce subtypes and delay types."""


def read_notice(text: str) -> Report | None:
    """Parse an SES notification; None if the text is not one."""
    start = text.find("{")
    if start < 0 or not any(mark in text for mark in _MARKS):
        return None

    notice = _object(text[start:])
    if isinstance(notice.get("Message"), str):
        notice = _object(notice["Message"])

    event = str(notice.get("notificationType") or notice.get("eventType") or "").lower()
    match event:
        case "bounce":
            return _bounce(_table(notice, "bounce"))
        case "deliverydelay":
            details = _table(notice, "deliveryDelay")
            reason = str(details.get("delayType", ""))
            return _failure(
                details, "delay", _recipients(details.get("delayedRecipients"), "delayed", "4", reason), reason
            )
        case "complaint":
            return _complaint(_table(notice, "complaint"))
        case "reject":
            addresses = [{"emailAddress": one} for one in _list(_table(notice, "mail").get("destination"))]
            reason = f"virus found: {_table(notice, 'reject').get('reason', '')}"
            return Report("bounce", _recipients(addresses, "failed", "5", ""), text=reason)
        case "delivery":
            details = _table(notice, "delivery")
            delivered = [
                {"emailAddress": one, "diagnosticCode": details.get("smtpResponse")}
                for one in _list(details.get("recipients"))
            ]
            return _failure(details, "other", _recipients(delivered, "delivered", "", ""), "")
        case _:
            return None


def _bounce(details: dict[str, Any]) -> Report:
    """Return a bounce. Only `Permanent` is class 5, regardless of the diagnostic."""
    status_class = "5" if str(details.get("bounceType", "")).lower() == "permanent" else "4"
    reason = str(details.get("bounceSubType", ""))
    return _failure(
        details, "bounce", _recipients(details.get("bouncedRecipients"), "failed", status_class, reason), reason
    )


def _failure(details: dict[str, Any], kind: Any, recipients: tuple[Recipient, ...], reason: str) -> Report:
    _, words = _REASONS.get(reason.lower(), ("", reason or "-"))
    return Report(kind, recipients, without_type(str(details.get("reportingMTA", ""))), text=words)


def _complaint(details: dict[str, Any]) -> Report:
    """Return a feedback report. SES omits the type if the receiver gave none; that is a complaint.

    An address on the account's suppression list is a bounce: SES did not send to it.
    """
    if str(details.get("complaintSubType") or "").lower() == "onaccountsuppressionlist":
        reason = "OnAccountSuppressionList"
        return _failure(
            details, "bounce", _recipients(details.get("complainedRecipients"), "failed", "5", reason), reason
        )
    feedback = Feedback(feedback_type(str(details.get("complaintFeedbackType") or "abuse")))
    action: Action = "complained" if feedback.is_complaint else "reported"
    return Report("complaint", _recipients(details.get("complainedRecipients"), action, "", ""), feedback=feedback)


def _object(text: str) -> dict[str, Any]:
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _recipients(listed: Any, action: Action, status_class: str, reason: str) -> tuple[Recipient, ...]:
    return tuple(
        _recipient(one, action, status_class, reason)
        for one in _list(listed)[:_MAX_RECIPIENTS]
        if isinstance(one, dict) and one.get("emailAddress")
    )


def _recipient(one: dict[str, Any], action: Action, status_class: str, reason: str) -> Recipient:
    """Return a recipient. Its status gets the class `status_class`, with the detail of the reason if there is none."""
    diagnostic = without_type(str(one.get("diagnosticCode") or ""))
    status = str(one.get("status") or "") or _any_status(diagnostic)
    if status_class:
        detail, words = _REASONS.get(reason.lower(), ("", ""))
        given = status.partition(".")[2]
        status = f"{status_class}.{given if given not in ('', '0.0') else detail or '0.0'}"
        diagnostic = diagnostic or words
    return Recipient(str(one["emailAddress"]), action, status, smtp_code(diagnostic), diagnostic, phase_of(diagnostic))


def _any_status(diagnostic: str) -> str:
    words = diagnostic.split()
    return next(
        (word for word in words[:3] if word.count(".") == 2 and word.replace(".", "").isdigit()), ""
    ) or status_in(diagnostic)


def _table(notice: dict[str, Any], key: str) -> dict[str, Any]:
    value = notice.get(key)
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
