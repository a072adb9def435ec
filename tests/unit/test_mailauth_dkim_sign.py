import functools
import os
import re
from pathlib import Path

import pytest

from relay.mail.headers import fields, first_value
from relay.mailauth.dkim_keys import SigningKey, load_key
from relay.mailauth.dkim_sign import sign
from tests.dkim_verifiers import dkimpy, mail_dkim, opendkim
from tests.shared import shared

GOLDEN = Path(__file__).parents[1] / "golden" / "sign"

NOW = 1_736_156_000

MESSAGES = sorted(path.stem for path in GOLDEN.glob("*.eml"))

SIGNED = [name for name in MESSAGES if name != "without-from"]


@functools.cache
def key(kind: str) -> SigningKey:
    return load_key((GOLDEN / f"{kind}.pem").read_bytes(), "acme.test", kind)


def both() -> tuple[SigningKey, SigningKey]:
    return key("rsa"), key("ed25519")


def message(name: str) -> bytes:
    return (GOLDEN / f"{name}.eml").read_bytes()


def carried(signed: bytes) -> bytes:
    """Return the message as SMTP delivers it: its last line is ended."""
    return signed if signed.endswith(b"\r\n") else signed + b"\r\n"


def readable(signed: bytes) -> bytes:
    """Return the message with no blanks before colons, which dkimpy cannot read; its relaxed form is the same."""
    head, blank, body = signed.partition(b"\r\n\r\n")
    return re.sub(rb"(?m)^([!-9;-~]+)[ \t]+:", rb"\1:", head) + blank + body


def tags(header: bytes) -> dict[str, str]:
    value = first_value(header, fields(header), b"dkim-signature")
    assert value is not None
    pairs = (tag.split("=", 1) for tag in value.decode().split(";"))
    return {name.strip(): "".join(text.split()) for name, text in pairs}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_signature_is_byte_for_byte_the_known_one(name: str) -> None:
    """The tests below have other verifiers accept these bytes. After a wanted change: REWRITE_GOLDEN=1 pytest."""
    made = sign(message(name), both(), NOW)
    expected = GOLDEN / f"{name}.dkim"
    if os.environ.get("REWRITE_GOLDEN"):
        expected.write_bytes(made)
    assert made == expected.read_bytes()


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("kinds", [["rsa"], ["ed25519"], ["rsa", "ed25519"], ["ed25519", "rsa"]], ids="+".join)
def test_dkimpy_verifies(name: str, kinds: list[str]) -> None:
    keys = [key(kind) for kind in kinds]
    signed = carried(sign(message(name), keys, NOW) + message(name))
    assert dkimpy(readable(signed), keys) == [True] * len(keys)


@pytest.mark.parametrize("name", [name for name in SIGNED if name != "duplicate-fields"])
def test_opendkim_verifies(name: str, tmp_path: Path) -> None:
    """OpenDKIM judges no message with several From fields, whoever signed it."""
    signed = carried(sign(message(name), both(), NOW) + message(name))
    verdicts = opendkim(signed, both(), tmp_path)
    assert (verdicts["rsa"], verdicts["ed25519"]) == ("pass", "pass")


@pytest.mark.parametrize("name", SIGNED)
def test_mail_dkim_verifies(name: str, tmp_path: Path) -> None:
    """The module knows no Ed25519 (RFC 8463) in every version in use, so only RSA counts here."""
    signed = carried(sign(message(name), [key("rsa")], NOW) + message(name))
    assert mail_dkim(signed, [key("rsa")], tmp_path)["rsa"] == "pass"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"invoice is", b"invoice was"),
        (b"Subject: Your", b"Subject: My"),
        (b"\r\n\r\nHello", b"\r\nCc: else@example.net\r\n\r\nHello"),
        (b"From:", b"Subject: Another on top\r\nFrom:"),
        (b"From:", b"Reply-To: thief@example.org\r\nFrom:"),
        (b"From:", b"From: boss@acme.test\r\nFrom:"),
        (b"To: ", b"To: x@example.net\r\nTo: "),
        (b"Date:", b"Date: Tue, 7 Jan 2025 09:30:00 +0000\r\nDate:"),
    ],
)
def test_what_a_reader_sees_cannot_be_changed_or_added(before: bytes, after: bytes) -> None:
    content = message("plain")
    assert before in content
    forged = sign(content, both(), NOW) + content.replace(before, after, 1)
    assert dkimpy(forged, both()) == [False, False]


@pytest.mark.parametrize(
    "added",
    [
        b"Received: from hub.example.net by mx.example.net; Mon, 6 Jan 2025 09:31:00 +0000\r\n",
        b"List-Unsubscribe: <https://list.example.org/leave>\r\nList-Id: <list.example.org>\r\n",
        b"Resent-From: hub@example.net\r\nResent-Date: Mon, 6 Jan 2025 09:31:00 +0000\r\n",
        b"X-Spam-Score: 0\r\nMIME-Version: 1.0\r\n",
    ],
)
def test_what_servers_on_the_way_add_does_no_harm(added: bytes) -> None:
    content = message("plain")
    assert dkimpy(added + sign(content, both(), NOW) + content, both()) == [True, True]


def test_a_second_unsubscribe_link_cannot_be_put_before_ours() -> None:
    content = message("one-click")
    added = b"List-Unsubscribe: <https://thief.example.org/>\r\n"
    assert dkimpy(added + sign(content, both(), NOW) + content, both()) == [False, False]


def test_the_tags_are_those_of_rfc_6376() -> None:
    found = tags(sign(message("one-click"), [key("rsa")], NOW))
    assert list(found) == ["v", "a", "c", "t", "d", "s", "h", "bh", "b"]
    assert (found["v"], found["a"], found["c"], found["t"]) == ("1", "rsa-sha256", "relaxed/relaxed", str(NOW))
    assert (found["d"], found["s"]) == ("acme.test", "rsa")
    assert found["h"].split(":") == [
        *("From", "From", "Reply-To", "Subject", "Subject", "To", "To", "Cc"),
        *("Date", "Date", "Message-ID", "Message-ID"),
        *("List-Unsubscribe", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Unsubscribe-Post"),
        *("List-Id", "Feedback-ID"),
    ]


def test_trace_fields_and_other_signatures_are_not_signed() -> None:
    listed = tags(sign(message("signed-before"), [key("rsa")], NOW))["h"].lower().split(":")
    assert not {"received", "return-path", "dkim-signature", "arc-seal", "x-other"} & set(listed)


@pytest.mark.parametrize("name", SIGNED)
def test_lines_are_short_and_end_in_crlf(name: str) -> None:
    lines = sign(message(name), both(), NOW).split(b"\r\n")
    assert lines.pop() == b""
    assert all(len(line) <= 78 and b"\n" not in line and b"\r" not in line for line in lines)


def test_the_longest_names_give_lines_a_server_must_take() -> None:
    long = load_key((GOLDEN / "rsa.pem").read_bytes(), ".".join(["d" * 60] * 3), "s" * 50)
    content = message("plain")
    made = sign(content, [long], NOW)
    assert max(map(len, made.split(b"\r\n"))) < 998
    assert dkimpy(made + content, [long]) == [True]


def test_no_from_no_signature() -> None:
    assert sign(message("without-from"), both(), NOW) == b""


def test_no_keys_no_signature() -> None:
    assert sign(message("plain"), (), NOW) == b""


def test_an_empty_message_is_not_signed() -> None:
    assert sign(b"", both(), NOW) == b""


def test_every_message_of_the_collection_verifies(tmp_path: Path) -> None:
    """Where dkimpy cannot read the header block, Mail::DKIM decides.

    dkimpy refuses a message with a line that is no field, and takes `From : x` for the first line of a mailbox file.
    """
    unreadable: list[tuple[str, bytes]] = []
    for path in sorted(shared("data/fidelity/eml").glob("*.eml")):
        content = re.sub(rb"\r\n|\r|\n", b"\r\n", path.read_bytes())
        header = sign(content, both(), NOW)
        if not header:
            assert not any(field.name == b"from" for field in fields(content)), path.name
        elif _is_readable(content):
            assert dkimpy(carried(header + content), both()) == [True, True], path.name
        else:
            unreadable.append((path.name, carried(sign(content, [key("rsa")], NOW) + content)))
    assert len(unreadable) < 20
    for name, signed in unreadable:
        assert mail_dkim(signed, [key("rsa")], tmp_path)["rsa"] == "pass", name


def _is_readable(content: bytes) -> bool:
    head = content.partition(b"\r\n\r\n")[0]
    return all(re.match(rb"[!-9;-~]+:|[ \t]", line) for line in head.split(b"\r\n")[1:])
