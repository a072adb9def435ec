"""Bounces that Amazon SES reports as JSON, sent by mail through SNS."""

import json
from typing import Any

from relay.dsn.replies import phase_of, smtp_code, status_in
from relay.dsn.report import Action, Feedback, Recipient, Report
from relay.dsn.status_fields import without_type

_MARKS = ("notificationType", "eventType")
_MAX_RECIPIENTS = 100


def read_notice(text: str) -> Report | None:
    """Return what an SES notification reports; None when the text is none."""
    start = text.find("{")
    if start < 0 or not any(mark in text for mark in _MARKS):
        return None
    notice = _object(text[start:])
    if isinstance(notice.get("Message"), str):
        notice = _object(notice["Message"])
    event = str(notice.get("notificationType") or notice.get("eventType") or "").lower()
    if event == "bounce":
        told = _table(notice, "bounce")
        return Report(
            "bounce",
            _recipients(told.get("bouncedRecipients"), "failed"),
            without_type(str(told.get("reportingMTA", ""))),
        )
    if event == "complaint":
        told = _table(notice, "complaint")
        kind = str(told.get("complaintFeedbackType") or "abuse")
        return Report("complaint", _recipients(told.get("complainedRecipients"), "complained"), feedback=Feedback(kind))
    if event == "delivery":
        told = _table(notice, "delivery")
        addresses = (
            {"emailAddress": one, "diagnosticCode": told.get("smtpResponse")} for one in _list(told.get("recipients"))
        )
        return Report(
            "other", _recipients(list(addresses), "delivered"), without_type(str(told.get("reportingMTA", "")))
        )
    return None


def _object(text: str) -> dict[str, Any]:
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _recipients(listed: Any, action: Action) -> tuple[Recipient, ...]:
    return tuple(
        _recipient(one, action)
        for one in _list(listed)[:_MAX_RECIPIENTS]
        if isinstance(one, dict) and one.get("emailAddress")
    )


def _recipient(one: dict[str, Any], action: Action) -> Recipient:
    diagnostic = without_type(str(one.get("diagnosticCode") or ""))
    status = str(one.get("status") or "") or _any_status(diagnostic)
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
