"""MIME of messages in JSON, as Python's parser reads it."""

import email
import email.header
import email.policy
from base64 import b64encode
from typing import Any

import pytest

from relay.api.composer import compose
from relay.api.outgoing_message import OutgoingMessage
from relay.api.substitutions import TextTooLongError, max_copy_length, personal_copies, replacer
from relay.mail.headers import fields


def message(**keys: Any) -> OutgoingMessage:
    given = {"from": "shop@acme.test", "to": ["ada@reader.test"], "text": "Hello", **keys}
    return OutgoingMessage.model_validate(given)


def parsed(**keys: Any) -> Any:
    content = compose(message(**keys))
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    found = email.message_from_bytes(content, policy=email.policy.default)
    assert [part.defects for part in found.walk() if part.defects] == []
    return found


def kinds(mail: Any) -> list[str]:
    return [part.get_content_type() for part in mail.walk()]


FILE = {"name": "a.bin", "content": b64encode(b"\0\1" * 100).decode()}

IMAGE = {"name": "a.png", "type": "image/png", "content": b64encode(b"png").decode(), "content_id": "logo@acme"}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, ["text/plain"]),
        ({"text": None, "html": "<p>"}, ["text/html"]),
        ({"html": "<p>"}, ["multipart/alternative", "text/plain", "text/html"]),
        ({"attachments": [FILE]}, ["multipart/mixed", "text/plain", "application/octet-stream"]),
        ({"text": None, "html": "<p>", "attachments": [IMAGE]}, ["multipart/related", "text/html", "image/png"]),
        ({"attachments": [IMAGE]}, ["multipart/mixed", "text/plain", "image/png"]),
        (
            {"html": "<p>", "attachments": [IMAGE, FILE]},
            [
                "multipart/mixed",
                "multipart/alternative",
                "text/plain",
                "multipart/related",
                "text/html",
                "image/png",
                "application/octet-stream",
            ],
        ),
    ],
)
def test_the_parts_are_nested_as_readers_expect(keys: dict[str, Any], expected: list[str]) -> None:
    assert kinds(parsed(**keys)) == expected


@pytest.mark.parametrize(
    "name",
    ["a.pdf", "Rechnung März.pdf", 'a"b\\c.pdf', "ä" * 200 + ".pdf", "a;b=c.pdf", "%41.pdf", "日本語.txt"],
)
def test_the_name_of_a_file_arrives_as_it_is(name: str) -> None:
    (file,) = parsed(attachments=[{**FILE, "name": name}]).iter_attachments()
    assert (file.get_filename(), file.get_content()) == (name, b"\0\1" * 100)


@pytest.mark.parametrize("subject", ["", "a", "Größe 42", "=?utf-8?q?no?=", "word " * 300, "ä" * 500, "日本" * 300])
def test_a_subject_arrives_as_it_is(subject: str) -> None:
    assert parsed(subject=subject)["Subject"] == subject.strip()


@pytest.mark.parametrize(
    ("mailbox", "name"),
    [
        ("Ada <ada@reader.test>", "Ada"),
        ('"Lovelace, Ada" <ada@reader.test>', "Lovelace, Ada"),
        ("Jörg Müller <ada@reader.test>", "Jörg Müller"),
        ('"Müller, \\"Jörg\\"" <ada@reader.test>', 'Müller, "Jörg"'),
        ("ada@reader.test", ""),
        ("日本語 <ada@reader.test>", "日本語"),
    ],
)
def test_a_mailbox_keeps_name_and_address(mailbox: str, name: str) -> None:
    content = compose(message(to=[mailbox]))
    assert content.isascii()
    (found,) = email.message_from_bytes(content, policy=email.policy.default)["To"].addresses
    assert (found.display_name, found.addr_spec) == (name, "ada@reader.test")


@pytest.mark.parametrize("text", ["a\n.\nFrom b\n", "a\r\nb", "ä\rö", "x" * 5000, "ä" * 5000, ""])
def test_a_text_arrives_with_its_lines(text: str) -> None:
    found = parsed(text=text).get_content()
    assert found.splitlines() == (text.splitlines() or [""])


def test_a_long_field_has_no_line_of_blanks_alone() -> None:
    content = compose(message(headers={"X-A": "a" + " " * 500 + "b", "X-B": "\u00e4" * 300}))
    assert not any(line.strip() == b"" for line in content.partition(b"\r\n\r\n")[0].split(b"\r\n"))
    assert [one.name for one in fields(content)] == [
        b"from", b"to", b"subject", b"x-a", b"x-b", b"mime-version", b"content-type", b"content-transfer-encoding",
    ]  # fmt: skip


def test_hidden_recipients_are_in_no_field() -> None:
    assert b"hidden" not in compose(message(bcc=["hidden@reader.test"]))


def test_the_same_message_has_the_same_octets() -> None:
    assert compose(message(html="<p>", attachments=[FILE])) == compose(message(html="<p>", attachments=[FILE]))


def test_texts_are_replaced_once_and_the_longest_first() -> None:
    replace = replacer({"%a": "%b", "%b": "2", "%ab": "3"}, 14)
    assert replace("%a %b %ab %c") == "%b 2 3 %c"


def test_a_value_makes_no_second_header_field() -> None:
    given = message(subject="Hi %n", headers={"X-N": "%n"}, substitutions={"ada@reader.test": {"%n": "a\r\nBcc: b@x"}})
    one = next(personal_copies(given)).build(1000)
    assert (one.subject, one.headers["X-N"]) == ("Hi a Bcc: b@x", "a Bcc: b@x")


def test_an_address_twice_gets_one_message() -> None:
    given = message(to=["ada@reader.test", "ADA@reader.test"], substitutions={"ada@reader.test": {"x": "y"}})
    assert [one.build(1000).to for one in personal_copies(given)] == [("ada@reader.test",)]


def test_a_short_text_with_a_long_value_is_not_made_beyond_the_limit() -> None:
    """A request of 200 KB was a text of ten gigabytes."""
    texts = {"a": "b" * 100_000}
    given = message(text="a" * 100_000, html="x", substitutions={"ada@reader.test": texts})
    with pytest.raises(TextTooLongError):
        next(personal_copies(given)).build(1_000_000)
    assert max_copy_length(given, [texts], 1_000_000) == 1_100_001
    assert replacer({"a": "bb", "c": "d" * 90}, 10)("aacx"[:2]) == "bbbb"
    with pytest.raises(TextTooLongError):
        replacer({"a": "bb"}, 3)("aa")


@pytest.mark.parametrize("name", ["Sender", "Resent-From", "Disposition-Notification-To"])
def test_a_further_field_of_addresses_has_encoded_words_in_names_only(name: str) -> None:
    content = compose(message(headers={name: '"Größe & Söhne" <news@acme.test>, ada@acme.test'}))
    (field,) = [one for one in fields(content) if content[one.start :].startswith(f"{name}:".encode())]
    value = content[field.value_start : field.end]
    assert value.isascii()
    assert b"<news@acme.test>,\r\n ada@acme.test" in value
    assert "Größe & Söhne" in str(email.header.make_header(email.header.decode_header(value.decode())))
