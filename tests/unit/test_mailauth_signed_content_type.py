"""What an unsigned Content-Type may say: only what the signed body shows by itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from relay.mail.headers import fields, named
from relay.mailauth.dkim_record import tags_of
from relay.mailauth.dkim_verify import Signature
from relay.mailauth.signed_content_type import fixes_content_type

GOOGLE = Signature("pass", "google.test", "s", "", frozenset({"from", "to", "subject"}))

NAMES = (b"from", b"content-transfer-encoding")

REPORT = (
    b"--B\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
    b"--B\r\nContent-Type: message/rfc822\r\n\r\nX: --b\r\n--b\r\n--b--\r\n--B--\r\n"
)

TEXT = b"unsubscribe\r\n-- \r\nEve\r\n----\r\n------\r\n"

QUOTING = b"Sorry.\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n--b--\r\n"


def mail(body: bytes, *given: bytes) -> bytes:
    return b"".join(one + b"\r\n" for one in (*given, b"From: a@google.test", b"Subject: x")) + b"\r\n" + body


@pytest.mark.parametrize(
    ("body", "given"),
    [
        (REPORT, [b"Content-Type: multipart/report; boundary=B; report-type=delivery-status"]),
        (b"\r\n" + REPORT, [b'Content-Type: Multipart/Report;\r\n\tboundary="B"']),
        (TEXT, [b'Content-Type: text/plain; charset="UTF-8"; format=flowed']),
        (TEXT, []),
    ],
)
def test_a_body_of_its_own_form_needs_no_signed_content_type(body: bytes, given: list[bytes]) -> None:
    assert fixes_content_type(GOOGLE, mail(body, *given), NAMES)
    assert not fixes_content_type(replace(GOOGLE, is_partial=True), mail(body, *given), NAMES)
    assert not fixes_content_type(GOOGLE, mail(body, b"From: mailer-daemon@google.test", *given), NAMES)
    assert not fixes_content_type(GOOGLE, mail(body, b"Content-Transfer-Encoding: base64", *given), NAMES)
    assert not fixes_content_type(GOOGLE, mail(body, b"Content-Type: text/plain", b"Content-Type: text/plain"), NAMES)


@pytest.mark.parametrize(
    ("body", "given"),
    [
        (TEXT, [b"Content-Type: multipart/report; boundary=b"]),
        (QUOTING, [b"Content-Type: multipart/report; boundary=b"]),
        (QUOTING, [b"Content-Type: text/plain"]),
        (REPORT, [b"Content-Type: multipart/report; boundary=b"]),
        (REPORT, [b"Content-Type: multipart/report; boundary=B; boundary=b"]),
        (REPORT, [b"Content-Type: multipart/report; boundary=B; boundary*0=b"]),
        (REPORT, [b"Content-Type: multipart/report (; boundary=B); boundary=b"]),
        (REPORT, [b"Content-Type: multipart/report"]),
        (REPORT, [b"Content-Type: text/plain"]),
        (REPORT, []),
        (REPORT.removesuffix(b"--B--\r\n"), [b"Content-Type: multipart/report; boundary=B"]),
        (TEXT, [b"Content-Type: text/html"]),
        (TEXT, [b"Content-Type: message/rfc822"]),
        (TEXT, [b"Content-Type: text/plain; charset=utf-16"]),
        (TEXT, [b"Content-Type: nonsense"]),
    ],
)
def test_a_changed_content_type_leaves_nothing_proven(body: bytes, given: list[bytes]) -> None:
    assert not fixes_content_type(GOOGLE, mail(body, *given), NAMES)
    signed = replace(GOOGLE, covered=GOOGLE.covered | {"content-type"})
    assert fixes_content_type(signed, mail(body, *given), NAMES)


SHARED = Path(__file__).parents[3] / "shared" / "data" / "bounces" / "eml"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared bounces, which are not here")
@pytest.mark.parametrize("name", ["rfc3464-55", "rfc3464-58", "lhost-gmail-16", "lhost-googlegroups-14"])
def test_the_signatures_of_bounces_of_google_count(name: str) -> None:
    content = (SHARED / f"sisimai__{name}.eml").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    [field] = named(fields(content), b"dkim-signature")
    covered = frozenset(one.strip().lower() for one in tags_of(field.value(content).decode())["h"].split(":"))
    assert "content-type" not in covered
    assert fixes_content_type(replace(GOOGLE, covered=covered), content, NAMES)


@pytest.mark.parametrize("line", [b"--" + b" " * 400_000 + b"x", b"\r\n" * 400_000, b"--a\r\n" * 200_000])
def test_lines_of_any_length_and_number_take_linear_time(line: bytes) -> None:
    """A body of 40 KB of blanks behind two dashes took the event loop 47 seconds."""
    body = line + b"\r\n" + QUOTING
    assert not fixes_content_type(GOOGLE, mail(body), NAMES)
    assert not fixes_content_type(GOOGLE, mail(body, b"Content-Type: multipart/report; boundary=b"), NAMES)


def test_a_body_with_too_many_delimiters_has_no_certain_form() -> None:
    assert fixes_content_type(GOOGLE, mail(b"--a\r\n" * 5_000), NAMES)
    assert not fixes_content_type(GOOGLE, mail(b"--a\r\n" * 20_000), NAMES)
