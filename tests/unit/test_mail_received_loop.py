"""The mark that tells a mail of ours when it comes back."""

import pytest

from relay.mail.control_headers import PREFIX
from relay.mail.headers import fields
from relay.mail.received import NAME, has_loop_field, loop_field

MAIL = b"From: a@x.test\r\nSubject: hi\r\n\r\nRelay-Loop: in the body\r\n"


@pytest.mark.parametrize("address", ["", "owner@acme.test", "jörg@acme.test"])
def test_what_was_marked_is_known_again(address: str) -> None:
    marked = loop_field("mail.acme.test", address) + MAIL
    assert has_loop_field(marked, fields(marked), "Mail.Acme.TEST", address.upper() if address.isascii() else address)
    assert not has_loop_field(MAIL, fields(MAIL), "mail.acme.test", address)


def test_a_mark_is_for_one_host_and_one_address() -> None:
    marked = loop_field("mail.acme.test", "owner@acme.test") + loop_field("other.test") + MAIL
    found = fields(marked)
    assert has_loop_field(marked, found, "mail.acme.test", "owner@acme.test")
    assert has_loop_field(marked, found, "other.test")
    assert not has_loop_field(marked, found, "mail.acme.test")
    assert not has_loop_field(marked, found, "mail.acme.test", "sales@acme.test")
    assert not has_loop_field(marked, found, "other.test", "owner@acme.test")


def test_it_names_nobody_and_is_no_instruction() -> None:
    field = loop_field("mail.acme.test", "owner@acme.test")
    assert b"owner" not in field
    assert b"acme" not in field
    assert not NAME.lower().startswith(PREFIX)
    assert field.endswith(b"\r\n")
    assert len(field) < 78
