"""Signed reply addresses in Reply-To: spliced in, the name kept, every other byte as it came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.address_list import Unreadable, parse_address_list
from relay.mail.headers import fields, first_value, named, without
from relay.rewrite.originator_fields import ADDED, with_reply_address

TOKEN = "abcdefghijklmnopqrstuvwxyz234567abcdefghijk"

ADDRESS = f"{TOKEN}@reply.acme.test"

LONG = f" <{ADDRESS}>"

BODY = b"\r\nhello\r\nReply-To: in the body\r\n"


def reply_to(header: bytes) -> bytes:
    """Return the Reply-To fields, raw."""
    content, note = with_reply_address(header + BODY, ADDRESS)
    assert note == ADDED
    found = list(named(fields(content), b"reply-to"))
    assert without(content, found) == without(header + BODY, named(fields(header + BODY), b"reply-to"))
    return b"".join(one.raw(content) for one in found)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"From: Acme <a@acme.test>\r\n", b"Acme"),
        (b"From: a@acme.test\r\n", b""),
        (b"From: <a@acme.test>\r\n", b""),
        (b"From: a@acme.test (Acme)\r\n", b""),
        (b'From: "Acme, Billing <x>" <a@acme.test>\r\n', b'"Acme, Billing <x>"'),
        (b'From: "a \\" b" <a@acme.test>\r\n', b'"a \\" b"'),
        (b"From: Acme (a < b) Ltd <a@acme.test>\r\n", b"Acme (a < b) Ltd"),
        (b"From: =?utf-8?q?J=C3=B6rg?= <a@acme.test>\r\n", b"=?utf-8?q?J=C3=B6rg?="),
        (b"From: Acme <a@acme.test>\r\nReply-To: Sales <s@acme.test>\r\n", b"Sales"),
        (b"From: Acme <a@acme.test>\r\nReply-To: s@acme.test, Sales <t@acme.test>\r\n", b"Acme"),
        (b"From: Acme <a@acme.test>\r\nReply-To: Team: Sales <s@acme.test>;\r\n", b"Acme"),
        (b"Reply-To: s@acme.test\r\nX: y\r\nFROM: Acme <a@acme.test>\r\nreply-to: t@acme.test\r\n", b"Acme"),
    ],
)
def test_the_name_is_kept(header: bytes, name: bytes) -> None:
    space = b" " + name if name else b""
    assert reply_to(header).replace(b"\r\n ", b" ") == b"Reply-To:" + space + LONG.encode() + b"\r\n"


def test_only_the_address_of_a_reply_to_is_replaced() -> None:
    before = b"Received: from x\r\nFrom: Acme <a@acme.test>\r\n"
    given = b"Reply-To: =?utf-8?q?J=C3=B6rg?=\r\n\t=?utf-8?q?_Sales?= <s@acme.test>\r\n"
    content, _ = with_reply_address(before + given + b"To: b@x.test\r\n" + BODY, ADDRESS)
    assert content == before + (
        b"Reply-To: =?utf-8?q?J=C3=B6rg?=\r\n\t=?utf-8?q?_Sales?=\r\n"
        b" <abcdefghijklmnopqrstuvwxyz234567abcdefghijk@reply.acme.test>\r\nTo: b@x.test\r\n\r\nhello\r\n"
        b"Reply-To: in the body\r\n"
    )


def test_without_one_it_stands_behind_from() -> None:
    content, _ = with_reply_address(b"From: A <a@acme.test>\r\nTo: b@x.test\r\n" + BODY, "r@r.test")
    assert content.startswith(b"From: A <a@acme.test>\r\nReply-To: A <r@r.test>\r\nTo: b@x.test\r\n\r\nhello")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"DKIM-Signature: v=1\r\nFrom: A <a@acme.test>\r\n", "the message is signed already"),
        (b"To: b@x.test\r\n", "there is no From"),
    ],
)
def test_it_stays_as_it_came(header: bytes, why: str) -> None:
    assert with_reply_address(header + BODY, ADDRESS) == (header + BODY, why)


def test_a_header_that_ends_in_its_from() -> None:
    content, _ = with_reply_address(b"From: A <a@acme.test>", "r@r.test")
    assert content == b"From: A <a@acme.test>\r\nReply-To: A <r@r.test>\r\n"


@given(st.binary(max_size=200))
def test_whatever_from_holds_there_is_one_reply_to_with_one_address(value: bytes) -> None:
    header = b"From: " + b"".join(value.split(b"\r")).replace(b"\n", b" ") + b"\r\nTo: b@x.test\r\n"
    content, note = with_reply_address(header + BODY, ADDRESS)
    assert note == ADDED
    found = fields(content)
    assert len(list(named(found, b"reply-to"))) == 1
    assert first_value(content, found, b"to") == b"b@x.test"
    reply = first_value(content, found, b"reply-to")
    assert reply is not None
    read = parse_address_list(reply.decode("utf-8", "surrogateescape"))
    assert not isinstance(read, Unreadable)
    assert [one.address for one in read] == [ADDRESS]
