"""The fields by which mail programs offer to unsubscribe."""

import re
from email import message_from_bytes
from email.policy import default

from relay.mail.queue_id import queue_id
from relay.rewrite.options import ListUnsubscribe
from relay.rewrite.tokens import Keyring, Kind, Token, verify_address_token, verify_token

RING = Keyring((("k1", b"k" * 32),))

QUEUE_ID = queue_id(1_700_000_000.0, 1)


def test_the_page_is_signed_for_one_recipient() -> None:
    written = ListUnsubscribe("https://t.acme.test").fields(RING, QUEUE_ID, 7)
    match = re.fullmatch(
        rb"List-Unsubscribe: <https://t\.acme\.test/u/([\w-]+)>\r\n"
        rb"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
        written,
    )
    assert match is not None
    assert verify_token(RING, Kind.UNSUBSCRIBE, match[1].decode()) == Token(Kind.UNSUBSCRIBE, QUEUE_ID, 7)


def test_a_reply_domain_takes_the_request_by_mail() -> None:
    written = ListUnsubscribe("https://t.acme.test", "reply.acme.test").fields(RING, QUEUE_ID, 7)
    mail = message_from_bytes(written + b"\r\n", policy=default)
    found = re.fullmatch(
        r"<(https:[^>]+)>,\s*<mailto:([^@]+)@reply\.acme\.test\?subject=unsubscribe>", mail["List-Unsubscribe"]
    )
    assert found is not None
    assert verify_address_token(RING, Kind.LIST_UNSUBSCRIBE, found[2]) == Token(Kind.LIST_UNSUBSCRIBE, QUEUE_ID, 7)
    assert verify_address_token(RING, Kind.REPLY, found[2]) is None
    assert all(len(line) < 100 for line in written.split(b"\r\n"))


def test_one_click_needs_https() -> None:
    written = ListUnsubscribe("http://127.0.0.1:8025").fields(RING, QUEUE_ID, 0)
    assert written.startswith(b"List-Unsubscribe: <http://127.0.0.1:8025/u/")
    assert b"List-Unsubscribe-Post" not in written
