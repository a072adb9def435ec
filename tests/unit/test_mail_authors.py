import pytest

from relay.mail.address_list import MAX_LIST, Unreadable
from relay.mail.authors import AuthorError, addresses_in, author_of, parse_authors
from relay.mail.headers import by_name, fields


def test_the_addresses_of_all_fields_of_a_name() -> None:
    content = b"To: a@b.test, C <c@d.test>\r\nCc: x@y.test\r\nTO: e@\r\n f.test\r\n\r\n"
    assert addresses_in(content, fields(content), b"to") == ("a@b.test", "c@d.test", "e@f.test")
    assert addresses_in(content, fields(content), b"bcc") == ()


def test_one_field_that_cannot_be_read_makes_all_unreadable() -> None:
    content = b"To: a@b.test\r\nTo: c d\r\n\r\n"
    assert isinstance(addresses_in(content, fields(content), b"to"), Unreadable)


@pytest.mark.parametrize(
    ("value", "author"),
    [
        (b"Ann <a@b.test>, c@d.test", "a@b.test"),
        (b'"Lee, Ann <x@y.test>" <a@b.test>', "a@b.test"),
        (b"undisclosed:;", ""),
        (b"", ""),
        (b"a@b.test c@d.test", ""),
        (b"J\xf6rg <a@b.test>", ""),
    ],
)
def test_the_author_is_the_first_address_of_from(value: bytes, author: str) -> None:
    assert author_of(b"From: " + value + b"\r\n\r\n") == author


@pytest.mark.parametrize("field", [b"From: ", b"From: a@b.test\r\nSender: ", b"From: a@b.test\r\nResent-From: "])
def test_senders_longer_than_the_limit_are_unreadable(field: bytes) -> None:
    content = field + b"a@b.test," * (MAX_LIST // 9 + 1) + b"c@d.test\r\n\r\n"
    with pytest.raises(AuthorError, match=f"From, Sender and Resent- fields have more than {MAX_LIST} octets"):
        parse_authors(content, by_name(fields(content)))


def test_many_fields_of_senders_count_together() -> None:
    content = b"From: a@b.test\r\n" + b"Resent-From: a@b.test\r\n" * 900 + b"\r\n"
    with pytest.raises(AuthorError, match="more than"):
        parse_authors(content, by_name(fields(content)))
    assert isinstance(addresses_in(content, fields(content), b"resent-from"), Unreadable)
