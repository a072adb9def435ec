"""Whatever comes to a reply address is read without an error, in time that grows with its size."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dsn.parse import parse
from relay.inbound.correlate import MAX_MESSAGE_IDS, referenced_message_ids
from relay.inbound.replies import header_of, parse_reply
from relay.inbound.unsubscribe_request import Answered
from relay.rewrite.originator_fields import with_reply_address

FIELDS = st.sampled_from(
    [b"From", b"Reply-To", b"Subject", b"In-Reply-To", b"References", b"Auto-Submitted", b"Content-Type", b"X"]
)

VALUES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b"<1@a.test> <2@a.test>", b"multipart/mixed; boundary=b", b"message/rfc822", b"unsubscribe", b'"', b"<", b"("]
    ),
)

MAILS = st.builds(
    lambda pairs, body: b"".join(name + b": " + value + b"\r\n" for name, value in pairs) + b"\r\n" + body,
    st.lists(st.tuples(FIELDS, VALUES), max_size=8),
    st.binary(max_size=200),
)


@given(MAILS, st.text(max_size=40))
def test_anything_can_be_read(content: bytes, about: str) -> None:
    report = parse(content)
    parse_reply(content, report, Answered(about, is_campaign=True))
    header = header_of(content, exact=False)
    assert header["message_id"] or header["digest"]
    assert header.items() <= header_of(content, exact=True).items()
    assert len(referenced_message_ids(content, report)) <= MAX_MESSAGE_IDS
    spliced, _ = with_reply_address(content, "r@r.test")
    assert spliced.endswith(content.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("unit", [b"<1@a.test> ", b"(", b'"', b"\\", b"<", b"re: ", b"unsubscribe "])
def test_hostile_fields_take_linear_time(unit: bytes) -> None:
    value = unit * (400_000 // len(unit))
    mail = b"From: " + value + b"\r\nReferences: " + value + b"\r\nSubject: " + value + b"\r\n\r\n" + value
    started = time.process_time()
    parse_reply(mail, parse(mail), Answered(value.decode(), is_campaign=True))
    referenced_message_ids(mail, parse(mail))
    with_reply_address(mail, "r@r.test")
    assert time.process_time() - started < 5
