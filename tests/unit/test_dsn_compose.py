"""Notifications we send, read back by the standard library and by our own reader of bounces."""

import email
from dataclasses import replace
from email import policy
from email.message import EmailMessage
from typing import cast

import pytest

from relay.dsn.compose import Action, OriginalMessage, RecipientStatus, compose
from relay.mail.reply import Reply

CONTENT = b"From: app@acme.test\r\nSubject: invoice 1042\r\n\r\nHello\r\n"

ORIGINAL = OriginalMessage("0000000000000A", "app@acme.test", 1000.0, CONTENT)

FATE = RecipientStatus(
    "u@x.test", Reply(550, "5.1.1", "no such user"), remote="mx.x.test[192.0.2.1]:25", attempted_at=1500.0
)


def composed(action: Action, original: OriginalMessage, *fates: RecipientStatus) -> bytes:
    content = compose(action, original, fates, hostname="relay.test", report_id="R1", now=2000.0)
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    return content


def parsed(content: bytes) -> EmailMessage:
    return email.message_from_bytes(content, policy=policy.default)


def groups(content: bytes) -> list[dict[str, str]]:
    """The fields of the delivery-status part, those of the message first."""
    part = content.split(b"--=R1=\r\n")[2].partition(b"\r\n\r\n")[2].decode().removesuffix("\r\n")
    return [dict(line.split(": ", 1) for line in group.splitlines()) for group in part.split("\r\n\r\n")]


def test_a_failure_is_composed_with_its_fields() -> None:
    content = composed(Action.FAILED, ORIGINAL, FATE)
    message = parsed(content)
    assert (message["To"], message["From"]) == ("app@acme.test", "Mail Delivery System <MAILER-DAEMON@relay.test>")
    assert message["Auto-Submitted"] == "auto-replied"
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    about, recipient = groups(content)
    assert about == {
        "Reporting-MTA": "dns; relay.test",
        "X-Relay-Queue-Id": "0000000000000A",
        "Arrival-Date": "Thu, 01 Jan 1970 00:16:40 +0000",
    }
    assert recipient == {
        "Final-Recipient": "rfc822; u@x.test",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.x.test",
        "Diagnostic-Code": "smtp; 550 5.1.1 no such user",
        "Last-Attempt-Date": "Thu, 01 Jan 1970 00:25:00 +0000",
    }
    prose, _, returned = message.iter_parts()
    assert "mx.x.test[192.0.2.1]:25 said: 550 5.1.1 no such user" in prose.get_content()
    assert returned.get_content_type() == "text/rfc822-headers"
    assert returned.get_payload(decode=True) == b"From: app@acme.test\r\nSubject: invoice 1042\r\n\r\n"


def test_xtext_is_decoded() -> None:
    """RFC 3464 sections 2.2.1 and 2.3.1 want the decoded forms of ENVID and ORCPT."""
    about, recipient = groups(
        composed(Action.FAILED, replace(ORIGINAL, envid="QQ+2B31+3D4"), replace(FATE, orcpt="rfc822;some+2Bone@y.test"))
    )
    assert about["Original-Envelope-Id"] == "QQ+31=4"
    assert recipient["Original-Recipient"] == "rfc822; some+one@y.test"


@pytest.mark.parametrize("hidden", ["a+0D+0AX-Evil:+20yes", "a+0", "a=b"])
def test_what_is_no_xtext_is_left_out(hidden: str) -> None:
    about, recipient = groups(
        composed(Action.FAILED, replace(ORIGINAL, envid=hidden), replace(FATE, orcpt=f"rfc822;{hidden}"))
    )
    assert "Original-Envelope-Id" not in about
    assert "Original-Recipient" not in recipient
    assert "X-Evil" not in {**about, **recipient}


def test_delayed_says_until_when_it_is_tried() -> None:
    fate = replace(FATE, reply=Reply(451, "", "busy"), remote="", retry_until=3000.0, attempted_at=0.0)
    content = composed(Action.DELAYED, ORIGINAL, fate)
    _, recipient = groups(content)
    assert (recipient["Action"], recipient["Status"]) == ("delayed", "4.0.0")
    assert recipient["Will-Retry-Until"] == "Thu, 01 Jan 1970 00:50:00 +0000"
    assert not {"Remote-MTA", "Last-Attempt-Date"} & recipient.keys()
    assert "you need not send it again" in next(parsed(content).iter_parts()).get_content()


@pytest.mark.parametrize(
    ("action", "reply", "status"),
    [
        (Action.FAILED, Reply(451, "4.4.7", "late"), "5.4.7"),
        (Action.RELAYED, Reply(250, "2.1.5", "ok"), "2.1.5"),
        (Action.RELAYED, Reply(250, "", "ok"), "2.0.0"),
    ],
)
def test_the_class_of_the_status_is_that_of_the_action(action: Action, reply: Reply, status: str) -> None:
    assert groups(composed(action, ORIGINAL, replace(FATE, reply=reply)))[1]["Status"] == status


def test_several_recipients_have_a_group_each() -> None:
    fates = [replace(FATE, recipient=f"u{number}@x.test") for number in range(3)]
    assert [one["Final-Recipient"] for one in groups(composed(Action.FAILED, ORIGINAL, *fates))[1:]] == [
        "rfc822; u0@x.test",
        "rfc822; u1@x.test",
        "rfc822; u2@x.test",
    ]


def test_full_returns_the_whole_message() -> None:
    *_, returned = parsed(composed(Action.FAILED, replace(ORIGINAL, full=True), FATE)).iter_parts()
    assert returned.get_content_type() == "message/rfc822"
    assert cast(EmailMessage, returned.get_content()).get_content() == "Hello\r\n"


def test_an_address_outside_ascii_switches_to_rfc_6533() -> None:
    content = composed(Action.FAILED, ORIGINAL, replace(FATE, recipient="zoë@x.test"))
    status = list(parsed(content).iter_parts())[1]
    assert status.get_content_type() == "message/global-delivery-status"
    assert groups(content)[1]["Final-Recipient"] == "utf-8; zoë@x.test"


def test_a_reply_outside_ascii_does_not() -> None:
    content = composed(Action.FAILED, ORIGINAL, replace(FATE, reply=Reply(550, "5.1.1", "inconnu é\n\nligne")))
    assert list(parsed(content).iter_parts())[1].get_content_type() == "message/delivery-status"
    assert groups(content)[1]["Diagnostic-Code"] == "smtp; 550 5.1.1 inconnu \\xe9 ligne"
    assert "inconnu é ligne" in next(parsed(content).iter_parts()).get_content()


def test_a_reply_of_any_length_fits_a_line() -> None:
    composed(Action.FAILED, ORIGINAL, replace(FATE, reply=Reply(550, "5.7.1", "é" * 5000)))


@pytest.mark.parametrize(
    ("remote", "named"),
    [
        ("mx.x.test[192.0.2.1]:25", "dns; mx.x.test"),
        ("[192.0.2.1]:25", "dns; [192.0.2.1]"),
        ("[2001:db8::1]:25", "dns; [2001:db8::1]"),
        ("mx.x.test", "dns; mx.x.test"),
    ],
)
def test_a_remote_mta_always_has_a_name(remote: str, named: str) -> None:
    """RFC 3464 section 2.3.5: a host known by its address only is named by its address literal."""
    _, recipient = groups(composed(Action.FAILED, ORIGINAL, replace(FATE, remote=remote)))
    assert recipient["Remote-MTA"] == named
