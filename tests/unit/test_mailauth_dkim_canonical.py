import base64
import hashlib

import pytest

from relay.mailauth.dkim_keys import load_key
from relay.mailauth.dkim_sign import body_hash, relaxed_body, relaxed_header
from tests.growth import assert_linear

RFC_6376_BODY = b" C \r\nD \t E\r\n\r\n\r\n"

RFC_8463_SECRET = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="

RFC_8463_BODY = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"

RFC_8463_FIELDS = {
    b"From": b" Joe SixPack <joe@football.example.com>\r\n",
    b"To": b" Suzie Q <suzie@shopping.example.net>\r\n",
    b"Subject": b" Is dinner ready?\r\n",
    b"Date": b" Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n",
    b"Message-ID": b" <20030712040037.46341.5F8J@football.example.com>\r\n",
}

RFC_8463_UNSIGNED = (
    b" v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n"
    b" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n subject : date : message-id : from : subject : date;\r\n"
    b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b="
)

RFC_8463_SIGNATURE = "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="


def test_the_body_example_of_rfc_6376_section_3_4_5() -> None:
    assert relaxed_body(RFC_6376_BODY) == b" C\r\nD E\r\n"


def test_the_header_example_of_rfc_6376_section_3_4_5() -> None:
    assert relaxed_header(b"A", b" X\r\n") == b"a:X\r\n"
    assert relaxed_header(b"B", b" Y\t\r\n\tZ  \r\n") == b"b:Y Z\r\n"


def test_the_signature_of_rfc_8463_appendix_a_is_made_again() -> None:
    """Ed25519 is deterministic: the same key, canonical forms and hashes must give the same 64 bytes."""
    pkcs8 = base64.b64encode(bytes.fromhex("302e020100300506032b657004220420") + base64.b64decode(RFC_8463_SECRET))
    pem = b"-----BEGIN PRIVATE KEY-----\n" + pkcs8 + b"\n-----END PRIVATE KEY-----\n"
    key = load_key(pem, "football.example.com", "brisbane")
    signed = b"".join(relaxed_header(name, value) for name, value in RFC_8463_FIELDS.items())
    signed += relaxed_header(b"DKIM-Signature", RFC_8463_UNSIGNED)[:-2]
    assert base64.b64encode(body_hash(RFC_8463_BODY)) == b"2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
    assert base64.b64encode(key.sign(hashlib.sha256(signed).digest())).decode() == RFC_8463_SIGNATURE


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n", b" \t\r\n \r\n", b"  "])
def test_a_body_of_blanks_is_no_body(body: bytes) -> None:
    assert relaxed_body(body) == b""


def test_the_hash_of_no_body_is_that_of_no_bytes() -> None:
    """RFC 6376 section 3.4.4 prints it."""
    assert base64.b64encode(body_hash(b"\r\n")) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@pytest.mark.parametrize("end", [b"", b"\r\n", b" ", b"\t \r\n", b"\r\n\r\n", b"\r\n \r\n"])
def test_a_last_line_without_end_counts_as_ended(end: bytes) -> None:
    assert relaxed_body(b"one\r\ntwo" + end) == b"one\r\ntwo\r\n"


def test_a_lone_cr_before_the_last_line_end_stays() -> None:
    assert relaxed_body(b"a\r\r\n\r\n") == b"a\r\r\n"


def test_other_white_space_is_text() -> None:
    assert relaxed_body(b"a\x0b\x0c\xa0 \r\n") == b"a\x0b\x0c\xa0\r\n"
    assert relaxed_header(b"X", b" \x0ba\x0c\r\n") == b"x:\x0ba\x0c\r\n"


@pytest.mark.parametrize("unit", [b" ", b"\t", b"\r\n", b" \r\n", b"x \t", b"  x\r\n", b"\r\r\n"])
def test_time_grows_with_length_and_not_its_square(unit: bytes) -> None:
    assert_linear(relaxed_body, lambda times: unit * times, 800_000 // len(unit))
    assert_linear(lambda value: relaxed_header(b"Subject", value), lambda times: unit * times, 800_000 // len(unit))
