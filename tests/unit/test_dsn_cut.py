"""Notices that break off: what stands before the end counts, what is missing is not guessed."""

import pytest

from relay.dsn.classify import classify_recipient
from relay.dsn.parse import parse
from relay.dsn.rules_file import built_in_rules

RULES = built_in_rules()

REPORT = """\
Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.example>
To: news@acme.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

{text}

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; ada@rcpt.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User unknown

Final-Recipient: rfc822; benjamin@rcpt.example
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 450 4.2.2 Mailbox full

--b--
"""
FAILED = REPORT.format(text="Your message could not be delivered.", action="failed", status="5.2.2")
DELAYED = REPORT.format(text="Your message is delayed.", action="delayed", status="4.2.2")


def upto(mail: str, mark: str) -> bytes:
    return mail[: mail.index(mark) + len(mark)].encode()


def test_an_address_that_is_cut_is_no_recipient() -> None:
    report = parse(upto(FAILED, "rfc822; benj"))
    assert (report.kind, report.cut) == ("bounce", True)
    assert [one.address for one in report.recipients] == ["ada@rcpt.example"]


@pytest.mark.parametrize("mark", ["benjamin@rcpt.example\n", "Action: de"])
def test_a_recipient_without_an_action_is_left_out(mark: str) -> None:
    report = parse(upto(DELAYED, mark))
    assert [(one.address, one.action) for one in report.recipients] == [("ada@rcpt.example", "failed")]


def test_a_status_for_good_is_an_action() -> None:
    told = FAILED.replace("Action: failed\nStatus: 5.2.2", "Status: 5.2.2")
    report = parse(upto(told, "Status: 5.2.2\n"))
    assert [one.action for one in report.recipients] == ["failed", "failed"]


def test_a_whole_report_is_not_cut() -> None:
    report = parse(FAILED.encode())
    assert not report.cut
    assert [one.status for one in report.recipients] == ["5.1.1", "5.2.2"]


def test_without_the_closing_delimiter_whole_lines_count() -> None:
    report = parse(FAILED.removesuffix("\n--b--\n").encode())
    assert not report.cut
    assert [one.status for one in report.recipients] == ["5.1.1", "5.2.2"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Your message could not be delivered to ada@rcpt.example:\nthe other si", "bounce"),
        ("Gmail will retry for 47 more hours to reach ada@rcpt.example.\nYou'll be no", "delay"),
        ("There was a problem with your message to ada@rcpt.example.\nThe conne", "other"),
        ("Dear send", "other"),
    ],
)
def test_a_note_that_breaks_off_is_final_only_when_it_says_so(text: str, kind: str) -> None:
    assert parse(upto(REPORT, "text/plain\n\n") + text.encode()).kind == kind


def test_a_mail_systems_report_is_no_automatic_answer_without_its_subject() -> None:
    untitled = FAILED.replace("Subject: Undelivered Mail Returned to Sender\n", "")
    assert parse(untitled.encode()).kind == "bounce"
    assert parse(upto(untitled, "Auto-Submitted: auto-replied\n")).kind == "other"


@pytest.mark.parametrize("tag", ["***SPAM***", "[SPAM]", "[EXTERNAL]", "{Spam?}"])
def test_tags_of_gateways_change_nothing(tag: str) -> None:
    tagged = FAILED.replace("Subject: ", f"Subject: {tag} ")
    assert parse(tagged.encode()) == parse(FAILED.encode())


def test_a_footer_below_a_signature_delimiter_says_nothing() -> None:
    note = (
        "From: MAILER-DAEMON@mx.example\nTo: news@acme.example\nSubject: failure notice\n\n"
        "Your message did not reach:\n\nada@rcpt.example\n"
    )
    footer = "\n-- \nScanned by the gateway of example.net. For help write to help@example.net\n"
    assert parse((note + footer).encode()).recipients == parse(note.encode()).recipients


NOTE = """\
Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.example>
To: <news@acme.example>
Delivered-To: bounces+7@acme.example
Subject: Undelivered Mail Returned to Sender

Sorry news@acme.example. Your mail could not be delivered. I have given up.
bounces+7@acme.example was refused for:
"""


def test_the_reader_of_a_note_that_ends_early_is_no_recipient() -> None:
    assert parse((NOTE + "    benj").encode()).recipients == ()
    whole = parse((NOTE + "    benjamin@rcpt.example\n").encode())
    assert [one.address for one in whole.recipients] == ["benjamin@rcpt.example"]


def test_the_reader_of_a_report_that_was_returned_is_no_recipient() -> None:
    head = (
        NOTE.partition("\n\n")[0]
        + "\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n--o\n\nundeliverable\n"
    )
    inner = (
        "--o\nContent-Type: message/rfc822\n\nFrom: MAILER-DAEMON@other.example\nTo: ada@rcpt.example\n"
        "Subject: User unknown\nContent-Type: multipart/report; report-type=delivery-status; boundary=i\n\n"
        "--i\n\nThe original message was received from 192.0.2.4\n"
    )
    assert parse((head + inner).encode()).recipients == ()
    ordinary = inner.replace("MAILER-DAEMON@other.example", "news@acme.example").replace("report;", "mixed;")
    ordinary = ordinary.replace(" report-type=delivery-status;", "")
    assert [one.address for one in parse((head + ordinary).encode()).recipients] == ["ada@rcpt.example"]


def test_the_end_of_a_wrapped_address_is_no_address() -> None:
    note = NOTE.replace("bounces+7@acme.example was refused for:", "benjamin@rcpt.example<mailto:benjami=")
    report = parse((note + "n@rcpt.example>\n").encode())
    assert "n@rcpt.example" not in [one.address for one in report.recipients]


def test_that_qmail_has_given_up_is_no_expiry() -> None:
    note = NOTE.partition("\n\n")[0] + (
        "\n\nHi. This is the qmail-send program at mx.example.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        "This is a permanent error; I've given up. Sorry it didn't work out.\n\n<ada@rcpt.example>:\n"
    )
    report = parse(note.encode())
    assert classify_recipient(RULES, report, report.recipients[0]).category == "unknown"
