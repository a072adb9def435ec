"""Notifications of Amazon SES: the types they name decide what happened."""

import json
from typing import Any

import pytest

from relay.dsn.classify import classify_recipient
from relay.dsn.parse import parse
from relay.dsn.report import Report
from relay.dsn.rules_file import built_in_rules

RULES = built_in_rules()

MAIL = {"messageId": "m", "source": "app@acme.test", "destination": ["jo@there.test"]}


def notified(**notice: Any) -> Report:
    text = json.dumps({"mail": MAIL, **notice})
    return parse(f"From: no-reply@sns.amazonaws.com\nSubject: Amazon SES Event\n\n{text}\n".encode())


def bounced(kind: str, subtype: str, **told: str) -> tuple[str, str]:
    """The status and the category of a bounce."""
    bounce = {
        "bounceType": kind,
        "bounceSubType": subtype,
        "bouncedRecipients": [{"emailAddress": "jo@there.test", **told}],
    }
    report = notified(notificationType="Bounce", bounce=bounce)
    (one,) = report.recipients
    assert (report.kind, one.action) == ("bounce", "failed")
    return one.status, classify_recipient(RULES, report, one).category


@pytest.mark.parametrize(
    ("kind", "subtype", "status", "category"),
    [
        ("Permanent", "General", "5.0.0", "unknown"),
        ("Permanent", "NoEmail", "5.1.1", "bad_mailbox"),
        ("Permanent", "Suppressed", "5.0.0", "suppressed"),
        ("Permanent", "OnAccountSuppressionList", "5.0.0", "suppressed"),
        ("Permanent", "UnsubscribedRecipient", "5.0.0", "suppressed"),
        ("Transient", "General", "4.0.0", "unknown"),
        ("Transient", "MailboxFull", "4.2.2", "mailbox_full"),
        ("Transient", "MessageTooLarge", "4.3.4", "too_large"),
        ("Transient", "ContentRejected", "4.6.0", "content_rejected"),
        ("Transient", "AttachmentRejected", "4.6.0", "content_rejected"),
        ("Transient", "CustomTimeoutExceeded", "4.4.7", "expired"),
        ("Undetermined", "Undetermined", "4.0.0", "unknown"),
        ("Undetermined", "SomethingNew", "4.0.0", "unknown"),
    ],
)
def test_types_of_bounces_have_their_kind(kind: str, subtype: str, status: str, category: str) -> None:
    assert bounced(kind, subtype) == (status, category)


def test_a_diagnostic_gives_the_reason_and_the_type_the_class() -> None:
    full = {"status": "5.2.2", "diagnosticCode": "smtp; 552 5.2.2 mailbox full"}
    assert bounced("Transient", "General", **full) == ("4.2.2", "mailbox_full")
    assert bounced("Permanent", "NoEmail", status="5.0.0", diagnosticCode="smtp; 550 sorry") == ("5.1.1", "bad_mailbox")


@pytest.mark.parametrize(
    ("kind", "category"),
    [("MailboxFull", "mailbox_full"), ("RecipientServerError", "server_error"), ("General", "unknown")],
)
def test_a_delay_is_no_bounce(kind: str, category: str) -> None:
    delayed = {"delayType": kind, "delayedRecipients": [{"emailAddress": "jo@there.test"}]}
    report = notified(eventType="DeliveryDelay", deliveryDelay=delayed)
    (one,) = report.recipients
    assert (report.kind, one.address, one.action, one.status[0]) == ("delay", "jo@there.test", "delayed", "4")
    assert classify_recipient(RULES, report, one).category == category


@pytest.mark.parametrize(
    ("told", "feedback_type", "is_complaint"),
    [
        ({}, "abuse", True),
        ({"complaintFeedbackType": None}, "abuse", True),
        ({"complaintFeedbackType": "abuse"}, "abuse", True),
        ({"complaintFeedbackType": "fraud"}, "fraud", True),
        ({"complaintFeedbackType": "not-spam"}, "not-spam", False),
        ({"complaintFeedbackType": "auth-failure"}, "auth-failure", False),
        ({"complaintFeedbackType": "virus"}, "virus", False),
        ({"complaintFeedbackType": "other"}, "other", False),
    ],
)
def test_the_type_of_feedback_decides_whether_somebody_complained(
    told: dict[str, Any], feedback_type: str, is_complaint: bool
) -> None:
    complained = [{"emailAddress": "jo@there.test"}]
    report = notified(notificationType="Complaint", complaint={"complainedRecipients": complained, **told})
    assert report.feedback is not None
    assert (report.feedback.feedback_type, report.feedback.is_complaint) == (feedback_type, is_complaint)
    assert report.recipients[0].action == ("complained" if is_complaint else "reported")


def test_what_ses_itself_refused_to_send() -> None:
    report = notified(eventType="Reject", reject={"reason": "Bad content"})
    (one,) = report.recipients
    assert (report.kind, one.action, classify_recipient(RULES, report, one).category) == ("bounce", "failed", "virus")


def test_an_address_on_the_suppression_list_of_the_account_is_no_complaint() -> None:
    complained = [{"emailAddress": "jo@there.test"}]
    told = {"complaintSubType": "OnAccountSuppressionList", "complainedRecipients": complained}
    report = notified(notificationType="Complaint", complaint=told)
    (one,) = report.recipients
    assert (report.kind, classify_recipient(RULES, report, one).category) == ("bounce", "suppressed")


def test_a_suppressed_address_is_not_suppressed_again() -> None:
    words = (
        "Amazon SES has suppressed sending to this address because it has a recent history of bouncing as an invalid "
        "address. For more information see the page about the suppression list."
    )
    assert bounced("Permanent", "Suppressed", status="5.1.1", diagnosticCode=words)[1] == "suppressed"
