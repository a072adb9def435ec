"""Fitting messages to the next hop."""

import base64
import binascii
import email
import email.policy

import pytest

from relay.rewrite.encoding import adapt_to_next_hop

LONG = b"x" * 999


def parts(content: bytes) -> list[tuple[str, str, object]]:
    parsed = email.message_from_bytes(content, policy=email.policy.compat32)
    return [
        (part.get_content_type(), str(part["Content-Transfer-Encoding"]), part.get_payload(decode=True))
        for part in parsed.walk()
        if not part.is_multipart()
    ]


@pytest.mark.parametrize(
    ("content", "eight_bit"),
    [
        (b"Subject: x\r\n\r\nplain\r\n", False),
        (b"Subject: x\r\n\r\ncaf\xc3\xa9\r\n", True),
        (b"Subject: \xc3\xa9\r\n\r\nplain\r\n", False),
        (b"X: " + LONG + b"\r\n\r\nplain\r\n", True),
        (b"Subject: x\r\n\r\n" + LONG[1:] + b"\r\n", True),
        (b"Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf\xc3\xa9\r\n", False),
        (b"DKIM-Signature: v=1\r\n\r\ncaf\xc3\xa9\r\n", False),
        (
            b"Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\ncaf\xc3\xa9\r\n--x--\r\n",
            False,
        ),
        (b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\ncaf\xc3\xa9\r\n--x--\r\n", False),
        (b"", False),
    ],
)
def test_what_fits_or_may_not_be_touched_comes_back_itself(content: bytes, eight_bit: bool) -> None:
    assert adapt_to_next_hop(content, eight_bit) is content


def test_text_goes_as_quoted_printable_with_a_new_field() -> None:
    body = "café = crème \r\n.\r\nFrom here\r\n".encode()
    fitted = adapt_to_next_hop(b"Subject: x\r\n\r\n" + body, eight_bit=False)
    assert fitted.startswith(b"Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
    assert fitted.isascii()
    assert parts(fitted) == [("text/plain", "quoted-printable", body)]


REFERENCES = b"References: " + b" ".join(b"<%0100d@x.test>" % number for number in range(12)) + b"\r\n"


@pytest.mark.parametrize("signature", [b"", b"DKIM-Signature: v=1; a=rsa-sha256;\r\n c=relaxed/simple; b=\r\n"])
@pytest.mark.parametrize("structure", [b"", b"Content-Type: text/plain\r\n" * 2])
def test_long_lines_of_the_header_are_folded_though_the_parts_may_not_be_touched(
    signature: bytes, structure: bytes
) -> None:
    content = signature + REFERENCES + structure + b"\r\nplain\r\n"
    folded = adapt_to_next_hop(content, eight_bit=True)
    assert max(map(len, folded.split(b"\r\n"))) <= 998
    assert folded.replace(b"\r\n <", b" <") == content


@pytest.mark.parametrize("signature", [b"DKIM-Signature: v=1; a=rsa-sha256; b=\r\n", b"DKIM-Signature: c=simple\r\n"])
def test_a_signature_over_the_octets_of_the_header_is_not_broken(signature: bytes) -> None:
    content = signature + REFERENCES + b"\r\nplain\r\n"
    assert adapt_to_next_hop(content, eight_bit=True) is content


def test_a_header_ends_before_a_line_that_is_no_field_unless_it_is_signed() -> None:
    content = b"Subject: x\r\nno field\r\nTo: a@x.test\r\n\r\nbody\r\n"
    assert adapt_to_next_hop(content, eight_bit=True) == content.replace(b"no field", b"\r\nno field")
    signed = b"DKIM-Signature: c=relaxed/relaxed\r\n" + content
    assert adapt_to_next_hop(signed, eight_bit=True) is signed


def test_long_lines_in_headers_of_parts_are_folded_beside_every_encoding() -> None:
    long = b"Content-Description: " + b"word " * 300 + b"\r\n"
    part = b"--x\r\n" + long + b"Content-Transfer-Encoding: base64\r\n\r\nYWJj\r\n"
    signed = b"--x\r\nContent-Type: multipart/signed; boundary=y\r\n\r\n--y\r\n" + long + b"\r\nabc\r\n--y--\r\n"
    content = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + part + signed + b"--x--\r\n"
    folded = adapt_to_next_hop(content, eight_bit=True)
    assert folded.endswith(signed + b"--x--\r\n")
    assert max(map(len, folded.removesuffix(signed + b"--x--\r\n").split(b"\r\n"))) <= 998
    assert folded.replace(b"\r\n word", b" word") == content


def test_the_field_that_is_there_is_set() -> None:
    fitted = adapt_to_next_hop(
        b"content-transfer-ENCODING:\r\n 8bit\r\nSubject: x\r\n\r\ncaf\xc3\xa9\r\n", eight_bit=False
    )
    assert fitted == b"content-transfer-ENCODING: quoted-printable\r\nSubject: x\r\n\r\ncaf=C3=A9\r\n"


def test_other_than_text_goes_as_base64() -> None:
    data = bytes(range(128, 256)) * 20
    fitted = adapt_to_next_hop(
        b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n" + data, eight_bit=False
    )
    assert parts(fitted) == [("image/png", "base64", data)]


@pytest.mark.parametrize("eight_bit", [True, False])
@pytest.mark.parametrize("body", [LONG, LONG + b"\r\n", b"a\r\n" + LONG + b"\r\nb\r\n", "é".encode() * 600 + b"\r\n"])
def test_overlong_lines_are_always_broken(body: bytes, eight_bit: bool) -> None:
    fitted = adapt_to_next_hop(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + body, eight_bit)
    head, _, new = fitted.partition(b"\r\n\r\n")
    assert b"Content-Transfer-Encoding: quoted-printable" in head
    assert max(map(len, new.split(b"\r\n"))) <= 76
    assert new.count(b"\n") == new.count(b"\r\n")
    assert binascii.a2b_qp(new) == body


def test_bare_line_ends_survive_as_base64() -> None:
    body = b"caf\xc3\xa9\nbare\rends\r\n"
    fitted = adapt_to_next_hop(b"Subject: x\r\n\r\n" + body, eight_bit=False)
    assert base64.b64decode(fitted.partition(b"\r\n\r\n")[2]) == body


def test_only_the_parts_that_need_it_change_and_containers_are_relabelled() -> None:
    def build(encoding: bytes, label: bytes, text: bytes) -> bytes:
        return (
            b"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
            b"pre\r\n--x\r\nContent-Type: text/plain\r\n\r\nplain\r\n--x\r\nContent-Type: message/rfc822\r\n"
            b"\r\nSubject: y\r\n" + label + b"\r\n" + text + b"\r\n--x--\r\npost\r\n"
        )

    label = b"Content-Transfer-Encoding: quoted-printable\r\n"
    assert adapt_to_next_hop(build(b"8bit", b"", b"caf\xc3\xa9"), eight_bit=False) == build(
        b"7bit", label, b"caf=C3=A9"
    )


def test_fitting_twice_changes_nothing_more() -> None:
    once = adapt_to_next_hop(b"Subject: x\r\n\r\ncaf\xc3\xa9\r\n" + LONG + b"\r\n", eight_bit=False)
    assert adapt_to_next_hop(once, eight_bit=False) is once
