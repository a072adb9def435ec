"""What the bounce reader takes from a mail, and what it leaves alone."""

import base64

import pytest

from relay.dsn.parse import parse
from relay.dsn.report import Recipient

HEADER = "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\nTo: bounce+k@app.example\nSubject: failure notice\n"


def report(*fields: str, text: str = "", media_type: str = "message/delivery-status", encoding: str = "7bit") -> bytes:
    return (
        f"{HEADER}Content-Type: multipart/report; boundary=b\n\n--b\n\n{text}\n--b\n"
        f"Content-Type: {media_type}\nContent-Transfer-Encoding: {encoding}\n\n" + "\n".join(fields) + "\n--b--\n"
    ).encode()


def only(content: bytes) -> Recipient:
    (recipient,) = parse(content).recipients
    return recipient


def test_original_recipient_is_the_address_the_message_was_sent_to() -> None:
    one = only(
        report(
            "Original-Recipient: rfc822;list@a.example",
            "Final-Recipient: rfc822;ann@b.example",
            "Action: failed",
            "Status: 5.1.1",
        )
    )
    assert (one.address, one.final_address) == ("list@a.example", "ann@b.example")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("failed", "failed"),
        ("Failure", "failed"),
        ("error", "failed"),
        ("expired", "failed"),
        ("undeliverable", "failed"),
        ("delayed (will retry)", "delayed"),
        ("relayed", "delivered"),
        ("expanded", "delivered"),
        ("deliverable", "delivered"),
    ],
)
def test_actions_as_the_world_writes_them(written: str, meant: str) -> None:
    assert only(report("Final-Recipient: rfc822; a@b.example", f"Action: {written}")).action == meant


def test_without_an_action_the_class_of_the_status_decides() -> None:
    assert only(report("Final-Recipient: rfc822; a@b.example", "Status: 2.0.0")).action == "delivered"
    assert only(report("Final-Recipient: rfc822; a@b.example", "Status: 5.0.0")).action == "failed"


def test_specific_status_of_the_diagnostic_beats_a_vague_field() -> None:
    fields = ("Final-Recipient: rfc822; a@b.example", "Action: failed", "Status: 5.0.0 (failure)")
    assert only(report(*fields, "Diagnostic-Code: smtp; 550 5.2.2 full")).status == "5.2.2"
    assert only(report(*fields, "Diagnostic-Code: smtp; 450 4.2.2 full")).status == "5.0.0"


def test_an_address_with_version_numbers_is_no_status() -> None:
    assert (
        only(report("Final-Recipient: rfc822; a@b.example", "Diagnostic-Code: x; host 10.4.5.1.2 said no")).status
        == "5.0.0"
    )


def test_a_status_nobody_named_is_the_undefined_one_of_its_class() -> None:
    fields = ("Final-Recipient: rfc822; a@b.example", "Action: failed")
    assert only(report(*fields)).status == "5.0.0"
    assert only(report(*fields, "Diagnostic-Code: smtp; 450 busy")).status == "4.0.0"
    assert only(report(fields[0], "Action: delayed")).status == "4.0.0"


def test_folded_diagnostic_is_joined() -> None:
    one = only(
        report("Final-Recipient: rfc822; a@b.example", "Action: failed", "Diagnostic-Code: smtp; 550", "  5.1.1 who")
    )
    assert (one.diagnostic, one.code, one.status) == ("550 5.1.1 who", 550, "5.1.1")


def test_blank_lines_inside_a_recipient_and_none_between_two() -> None:
    content = report(
        "Final-Recipient: rfc822; a@b.example",
        "",
        "Action: failed",
        "",
        "Status: 5.1.1",
        "Final-Recipient: rfc822; c@d.example",
        "Action: delayed",
        "Status: 4.4.1",
    )
    assert [(one.address, one.action, one.status) for one in parse(content).recipients] == [
        ("a@b.example", "failed", "5.1.1"),
        ("c@d.example", "delayed", "4.4.1"),
    ]
    assert parse(content).kind == "bounce"


def test_a_recipient_named_twice_counts_once() -> None:
    block = ("Final-Recipient: rfc822; a@b.example", "Action: failed", "Status: 5.1.1", "")
    assert len(parse(report(*block, *block)).recipients) == 1


def test_misspelt_part_type_and_encoding() -> None:
    fields = "Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.1.1\n"
    encoded = base64.encodebytes(fields.encode()).decode()
    assert only(report(encoded, encoding="base64")).status == "5.1.1"
    assert only(report(fields, media_type="message/xdelivery-status")).status == "5.1.1"
    assert only(report(fields, media_type="text/plain")).status == "5.1.1"


def test_the_returned_message_is_not_read_for_recipients() -> None:
    content = report("Final-Recipient: rfc822; a@b.example", "Action: failed") + (
        b"\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <x@y>\n\n<other@z.example>: 550 5.1.1 User unknown\n"
    )
    assert [one.address for one in parse(content).recipients] == ["a@b.example"]


def test_returned_header_joins_the_report_to_the_message() -> None:
    content = report("Final-Recipient: rfc822; a@b.example").replace(
        b"--b--", b"--b\nContent-Type: text/rfc822-headers\n\nMessage-Id: <m@app>\nX-Campaign: may\n\n--b--"
    )
    found = parse(content)
    assert found.message_id == "<m@app>"
    assert ("x-campaign", "may") in found.returned


def test_machines_and_the_reader_are_no_recipients_unless_nobody_else_is() -> None:
    text = f"{HEADER}\nYour message could not be delivered to a@b.example.\nWrite to postmaster@mx.example for help.\n"
    assert only(text.encode()).address == "a@b.example"
    text = f"{HEADER}\nYour message could not be delivered to postmaster@b.example.\n"
    assert only(text.encode()).address == "postmaster@b.example"


def test_a_header_of_failed_recipients_is_believed() -> None:
    text = (
        f"X-Failed-Recipients: a@b.example, c@d.example\n{HEADER}\nIt failed.\n\n  a@b.example\n    550 no such user\n"
    )
    assert [one.address for one in parse(text.encode()).recipients] == ["a@b.example", "c@d.example"]


def test_a_long_report_stays_bounded() -> None:
    lines = "".join(f"<u{number}@b.example>: 550 5.1.1 User unknown\n" for number in range(5000))
    assert len(parse(f"{HEADER}\n{lines}".encode()).recipients) == 100


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "X-Autoreply: yes",
        "Precedence: auto_reply",
        "Subject: Automatic reply: order",
        "Subject: Réponse automatique : commande",
        "Subject: Respuesta automática: pedido",
        "Subject: Risposta automatica: ordine",
        "Subject: Automatisch antwoord: bestelling",
        "Subject: Autosvar: beställning",
        "Subject: Автоответ: заказ",
        "Subject: 自动回复: order",
        "Subject: =?utf-8?Q?Abwesenheitsnotiz?=",
    ],
)
def test_automatic_replies_are_recognised(header: str) -> None:
    assert parse(f"From: Ann <ann@b.example>\n{header}\n\nText.\n".encode()).kind == "auto-reply"


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: no",
        "Auto-Submitted: auto-generated",
        "Precedence: bulk",
        "Subject: Autumn replies",
        "X-Loop: a",
    ],
)
def test_marks_that_alone_make_no_auto_reply(header: str) -> None:
    assert parse(f"From: Ann <ann@b.example>\n{header}\n\nText.\n".encode()).kind == "other"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\r\n\r\n", b"Subject", b"\x00", b"From: a@b\n\n", b"--b", b"\xff" * 99]
)
def test_next_to_nothing_is_other(content: bytes) -> None:
    assert parse(content).kind == "other"


def test_an_unknown_charset_is_read_all_the_same() -> None:
    text = f"{HEADER}Content-Type: text/plain; charset=rot13\n\n<a@b.example>:\n550 5.1.1 unknown user\n"
    assert only(text.encode()).status == "5.1.1"


@pytest.mark.parametrize(
    "line",
    [
        "退信原因：收件人邮件地址（jo@qq.example）不存在，邮件无法送达。",
        "收件人：jo@qq.example，不存在。550 Mailbox not found",
        "收件人jo@qq.example不存在",
        "宛先「jo@qq.example」は存在しません。",
        "받는사람: <jo@qq.example> 없는 주소입니다",
    ],
)
def test_an_address_ends_where_punctuation_or_another_script_begins(line: str) -> None:
    header = "Return-Path: <>\nFrom: PostMaster@qq.example\nTo: b@acme.example\nSubject: 退信\n"
    mail = f"{header}Content-Type: text/plain; charset=utf-8\n\n{line}\n"
    assert only(mail.encode()).address == "jo@qq.example"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_line_ends_of_any_form_change_nothing(end: str) -> None:
    fields = (
        "Final-Recipient: rfc822; a@b.example",
        "Action: failed",
        "Status: 5.1.1",
        "Diagnostic-Code: smtp; 550 no",
    )
    content = report("Reporting-MTA: dns; mx.example", "", *fields, text="It failed.")
    assert parse(content.replace(b"\n", end.encode())) == parse(content)


def test_marks_alone_are_no_recipient() -> None:
    assert parse(report("Final-Recipient: rfc822; =", "Action: failed", "Status: 5.1.1")).recipients == ()
