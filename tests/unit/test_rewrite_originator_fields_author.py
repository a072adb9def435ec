"""The name of an identity in From: put in where there is none, and nothing else touched."""

from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest

from relay.rewrite.originator_fields import ADDED, HAS_NAME, author_name, with_author_name

REST = b"Subject: hello\r\n\r\nFrom: not me\r\n"

ACME = "Acme Billing (Acme Ltd)"


def named(from_value: bytes, name: str = ACME) -> bytes:
    content, why = with_author_name(b"X: y\r\nFrom:" + from_value + b"\r\n" + REST, name)
    assert why == ADDED
    assert content.startswith(b"X: y\r\nFrom:")
    assert content.endswith(REST)
    return content[len(b"X: y\r\nFrom:") : -len(REST)]


def test_there_is_one_form() -> None:
    assert author_name("Acme Billing", "Acme Ltd") == ACME
    assert author_name("Acme Billing", "") == "Acme Billing"
    assert author_name("", "Acme Ltd") == author_name("Acme Ltd", "Acme Ltd") == "Acme Ltd"
    assert author_name("", "") == ""


@pytest.mark.parametrize(
    ("value", "name", "becomes"),
    [
        (b" billing@acme.test", "Acme Billing", b" Acme Billing <billing@acme.test>\r\n"),
        (b" <billing@acme.test>", "Acme Billing", b" Acme Billing <billing@acme.test>\r\n"),
        (b"billing@acme.test ", ACME, b' "Acme Billing (Acme Ltd)" <billing@acme.test>\r\n'),
        (b"\r\n < billing@acme.test >", 'J. "Q" Doe\\', b' "J. \\"Q\\" Doe\\\\" <billing@acme.test>\r\n'),
        (b" a@x.test", "Zo\u00eb M\u00fcller", b" =?utf-8?q?Zo=C3=AB_M=C3=BCller?= <a@x.test>\r\n"),
        (b" a@x.test", "=?utf-8?q?x?=", b' "=?utf-8?q?x?=" <a@x.test>\r\n'),
        (b' "a b"@x.test', "Jane", b' Jane <"a b"@x.test>\r\n'),
        (b" \xc3\xa9@x.test", "Jane", b" Jane <\xc3\xa9@x.test>\r\n"),
        (b" a@x.test", "Acme " * 14 + "Ltd", b" " + b"Acme " * 14 + b"Ltd\r\n <a@x.test>\r\n"),
    ],
)
def test_it_is_written_as_the_standards_have_it(value: bytes, name: str, becomes: bytes) -> None:
    assert named(value, name) == becomes


@pytest.mark.parametrize(
    "name", [ACME, 'a "quoted" \\ name', "Zo\u00eb", "\u65e5\u672c\u8a9e\u306e\u540d\u524d" * 6, "=?odd?="]
)
def test_readers_see_the_very_name(name: str) -> None:
    value = named(b" a@x.test", name)
    assert all(len(line) <= 78 for line in (b"From:" + value).splitlines())
    written, address = parseaddr(value.decode().replace("\r\n ", " "))
    assert (str(make_header(decode_header(written))), address) == (name, "a@x.test")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"From: Jane <a@x.test>\r\n", HAS_NAME),
        (b'From: "" <a@x.test>\r\n', HAS_NAME),
        (b"From: a@x.test (Jane)\r\n", HAS_NAME),
        (b"From: a@x.test, b@x.test\r\n", "From has several addresses, or is a group"),
        (b"From: us: a@x.test;\r\n", "From has several addresses, or is a group"),
        (b"From: a@x.test\r\nfrom: a@x.test\r\n", "there are several From fields"),
        (b"From: a\xff@x.test\r\n", HAS_NAME),
        (b"To: a@x.test\r\n", "there is no From"),
        (b"From: a@x.test\r\nDKIM-Signature: v=1\r\n", "the message is signed already"),
    ],
)
def test_otherwise_the_message_stays_as_it_came(header: bytes, why: str) -> None:
    content = header + REST
    left, told = with_author_name(content, ACME)
    assert left is content
    assert told == why
