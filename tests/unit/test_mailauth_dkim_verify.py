"""Signatures of strangers: the results of dkimpy, within bounded time."""

import asyncio
import base64
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from relay.mailauth.dkim_body_hash import BodyHashes
from relay.mailauth.dkim_verify import Signature, verify_signatures
from relay.resolver import TextAnswer, Texts

PRIVATE = rsa.generate_private_key(65537, 2048)

PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)

HEADER = b"From: Eve <eve@evil.test>\r\nSubject: x  y\r\n\tz \r\nTo: ada@acme.test\r\n\r\n"


def published(modulus: int, exponent: int) -> str:
    """Return the record of an RSA key that no library needs to accept."""
    inner = integer(modulus) + integer(exponent)
    bits = b"\0" + b"\x30" + length(len(inner)) + inner
    oid = bytes.fromhex("300d06092a864886f70d0101010500")
    der = b"\x30" + length(len(oid) + 1 + len(length(len(bits))) + len(bits)) + oid + b"\x03" + length(len(bits)) + bits
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


def integer(number: int) -> bytes:
    octets = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return b"\x02" + length(len(octets)) + octets


def length(count: int) -> bytes:
    octets = count.to_bytes(max(1, (count.bit_length() + 7) // 8), "big")
    return octets if count < 128 else bytes([0x80 | len(octets)]) + octets


NUMBERS = PRIVATE.public_key().public_numbers()

RECORD = published(NUMBERS.n, NUMBERS.e)


class Dns:
    """Answers every question with one record."""

    def __init__(self, record: str = RECORD) -> None:
        self._record = record

    async def txt(self, name: str) -> TextAnswer:
        del name
        return Texts((self._record,))

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not looked up")


def signed(content: bytes, **options: Any) -> bytes:
    found: bytes = dkim.sign(content, b"s", b"evil.test", PEM, include_headers=[b"from", b"subject"], **options)
    return found + content


async def sole(content: bytes, record: str = RECORD) -> Signature:
    (found,) = await verify_signatures(Dns(record), content)
    return found


@pytest.mark.parametrize("value", [b"", b" ", b" no tag"])
async def test_a_field_without_tags_lacks_its_domain(value: bytes) -> None:
    found = await sole(b"DKIM-Signature:" + value + b"\r\n" + HEADER)
    assert (found.result, found.why) == ("permerror", "the signature lacks its domain (d=) or selector (s=)")


@pytest.mark.parametrize("header", [b"relaxed", b"simple"])
@pytest.mark.parametrize("form", [b"relaxed", b"simple"])
@pytest.mark.parametrize(
    "body",
    [b"", b"\r\n", b"\r\n\r\n\r\n", b"a", b"a\r\n\r\n", b" a \t b \r\n\t\r\n c\r\n", b"x" * 300_000 + b"\r\n" * 40_000],
)
async def test_a_signature_holds_for_what_was_signed_and_for_nothing_else(
    header: bytes, form: bytes, body: bytes
) -> None:
    for length_given in (False, True):
        content = signed(HEADER + body, canonicalize=(header, form), length=length_given)
        found = await sole(content)
        assert (found.result, found.domain, found.is_partial) == ("pass", "evil.test", length_given), found.why
        assert length_given or (await sole(content + b"more\r\n")).result == "fail"
        assert (await sole(content.replace(b"Eve", b"Bob"))).result == "fail"


def test_the_hash_of_a_part_is_that_of_its_octets() -> None:
    content = b"\r\n" + b"a  b\r\n" * 100_000
    hashes = BodyHashes(content, 2)
    assert (
        hashes.sha256(b"relaxed", 3) == hashes.sha256(b"relaxed", 3) == BodyHashes(b"\r\na b", 2).sha256(b"simple", 3)
    )
    assert hashes.sha256(b"other") is None


async def test_a_signature_over_sha1_proves_nothing() -> None:
    content = signed(HEADER + b"Text.\r\n", signature_algorithm=b"rsa-sha1")
    assert (await sole(content)).result == "policy"


async def test_a_name_with_a_blank_is_the_field_that_relay_reads() -> None:
    """A field that only one of two readers sees could be added to a signed mail."""
    content = signed(HEADER + b"Text.\r\n", canonicalize=(b"simple", b"simple"))
    assert (await sole(b"Subject : other\r\n" + content)).result == "pass"
    assert (await sole(b"From : other@evil.test\r\n" + content)).result == "fail"
    assert (await sole(content.replace(b"\r\nTo:", b"\r\nno field\r\nTo:"))).result == "permerror"


@pytest.mark.parametrize(
    "record",
    [
        published(2**8190 + 2**4000 + 1, 65537 << 8000 | 1),
        published(2**9000 + 1, 65537),
        published(2**300_000 + 1, 2**299_000 + 1),
    ],
)
async def test_a_key_of_any_length_costs_no_time(record: str) -> None:
    """With an exponent as long as its key, one verification took minutes."""
    assert (await sole(signed(HEADER), record)).result in ("policy", "permerror")


@pytest.mark.parametrize(
    "value", [b"b=A" + b" " * 200_000 + b"*", b"h=" + b"from:" * 40_000, b"b=" + b" \r\n\t" * 60_000]
)
async def test_a_field_of_any_length_costs_no_time(value: bytes) -> None:
    field = b"DKIM-Signature: v=1; a=rsa-sha256; d=evil.test; s=s; bh=QQ==; b=QQ==; h=from; x-" + value + b"\r\n"
    assert (await sole(field + HEADER)).result == "neutral"


async def test_other_tasks_go_on_while_a_large_mail_is_verified() -> None:
    """Ten signatures of 25 MB took the event loop two minutes."""
    content = signed(HEADER + (b"a " * 35 + b"\r\n") * 100_000, canonicalize=(b"relaxed", b"relaxed"))
    turns, field = 0, content[: content.index(b"From: ")]

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    found = await verify_signatures(Dns(), field * 12 + content)
    task.cancel()
    assert [one.result for one in found] == ["pass"] * 10
    assert turns > 10
