import base64
import pickle

import dkim.crypto
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from relay.mailauth.dkim_keys import (
    Algorithm,
    KeyFaultError,
    SigningKey,
    dns_record,
    generate_key,
    load_key,
    record_name,
    zone_line,
)

PLAIN = NoEncryption()

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)

SHORT_RSA = b"""
-----BEGIN PRIVATE KEY-----
MIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEA5ANe4+QwO8qs4KS7
Gre5lPKFkTnzBoe77VNkoGKMB1F7zgVEbX0eBXiHucRwIsKYdhdnmSUo8CTPIqdv
gDj45QIDAQABAkEAzldui/V44OMtR65L1IXnYC+JSD+U+pfjLYaGTc5gwkz5v5su
k9PNwXUFk4CLiuG4ji84756PECC9HPYZllrwkQIhAPeHN46oCeYZHiVIHzCWwqzx
GYsRsWotUerWo2sDOjCjAiEA69Eq6y2+E3yqd624qLuLU5S0WPOSn0GxmRRsWAA/
YNcCIBkByyYZae6aKQaBM8133bEVJox7PB5K99Su3JGqIM3bAiEAp3jqARGATviX
W909Kl/ex+Hw3sdE1uNhzHRrqWermwsCICclxS8LI+MnHD8FPbVSaTfjeShTXvbJ
6yHXt9jHINZD
-----END PRIVATE KEY-----
"""


def pem(
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption = PLAIN,
) -> bytes:
    return private.private_bytes(Encoding.PEM, form, encryption)


def public_pem() -> bytes:
    return RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "text",
    [
        pem(RSA),
        pem(RSA, PrivateFormat.TraditionalOpenSSL),
        pem(RSA).replace(b"\n", b"\r\n"),
        pem(RSA, PrivateFormat.TraditionalOpenSSL).replace(b"\n", b"\r\n"),
        b"\n\n" + pem(RSA).rstrip(),
    ],
    ids=["pkcs8", "pkcs1", "pkcs8-crlf", "pkcs1-crlf", "blank-lines"],
)
def test_every_form_of_a_key_is_the_same_key(text: bytes) -> None:
    assert load_key(text, "Acme.test", "s1") == SigningKey("acme.test", "s1", "rsa-sha256", pem(RSA))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", "no PEM file"),
        (b"MIIEvQIBADANBg", "no PEM file"),
        (public_pem(), "holds no private key"),
        (pem(RSA)[:900], "cannot be read"),
        (pem(RSA).replace(b"M", b"N"), "cannot be read"),
        (pem(RSA, encryption=BestAvailableEncryption(b"secret")), "encrypted"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "another kind of key"),
    ],
    ids=["empty", "bare-base64", "public", "cut", "damaged", "encrypted", "ecdsa"],
)
def test_a_key_that_cannot_sign_is_refused_with_the_reason(text: bytes, fault: str) -> None:
    with pytest.raises(KeyFaultError, match=fault):
        load_key(text, "acme.test", "s1")


def test_a_short_rsa_key_is_refused() -> None:
    with pytest.raises(KeyFaultError, match="has 512 bits"):
        load_key(SHORT_RSA, "acme.test", "s1")
    with pytest.raises(KeyFaultError, match="512 bits is too short"):
        generate_key("rsa-sha256", 512)


def test_the_least_rsa_key_verifiers_must_take_is_taken() -> None:
    assert load_key(generate_key("rsa-sha256", 1024), "acme.test", "s1").algorithm == "rsa-sha256"


@pytest.mark.parametrize(
    ("domain", "selector"),
    [
        ("", "s1"),
        ("acme.test", ""),
        ("acme..test", "s1"),
        ("acme.test.", "s1"),
        ("../acme", "s1"),
        ("acme.test", "a/b"),
        ("acme.test", "s1;d=evil.test"),
        ("acme.test\r\nX: y", "s1"),
        ("bücher.test", "s1"),
        ("-acme.test", "s1"),
        ("a" * 64 + ".test", "s1"),
        (".".join(["a" * 60] * 4), "s1"),
    ],
)
def test_names_that_are_no_dns_names_are_refused(domain: str, selector: str) -> None:
    with pytest.raises(KeyFaultError):
        load_key(pem(RSA), domain, selector)
    with pytest.raises(KeyFaultError):
        record_name(selector, domain)


def test_selectors_may_have_dots() -> None:
    assert record_name("2025.q1", "Acme.test") == "2025.q1._domainkey.acme.test"


def test_the_private_key_is_never_printed() -> None:
    assert "PRIVATE" not in repr(load_key(pem(RSA), "acme.test", "s1"))


@pytest.mark.parametrize("algorithm", ["rsa-sha256", "ed25519-sha256"])
def test_a_key_travels_to_another_process(algorithm: Algorithm) -> None:
    key = load_key(generate_key(algorithm), "acme.test", "s1")
    copy = pickle.loads(pickle.dumps(key))
    assert copy == key
    assert copy.sign(b"d" * 32) == key.sign(b"d" * 32)


def test_the_rsa_record_holds_the_public_key() -> None:
    record = dns_record(load_key(pem(RSA), "acme.test", "s1"))
    assert record.startswith("v=DKIM1; k=rsa; p=")
    read = dkim.crypto.parse_public_key(base64.b64decode(record.partition("p=")[2]))  # type: ignore[no-untyped-call]
    assert read["modulus"] == RSA.public_key().public_numbers().n


def test_the_ed25519_record_holds_the_32_bytes_of_the_public_key() -> None:
    key = load_key(generate_key("ed25519-sha256"), "acme.test", "s1")
    record = dns_record(key)
    assert record.startswith("v=DKIM1; k=ed25519; p=")
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(record.partition("p=")[2]))
    public.verify(key.sign(b"d" * 32), b"d" * 32)


def test_a_zone_line_is_cut_into_strings_dns_can_hold() -> None:
    name, text = "s1._domainkey.acme.test", dns_record(load_key(pem(RSA), "acme.test", "s1"))
    line = zone_line(name, text)
    assert line.startswith('s1._domainkey.acme.test. IN TXT "v=DKIM1; k=rsa; p=')
    strings = line.partition("TXT ")[2].removeprefix('"').removesuffix('"').split('" "')
    assert "".join(strings) == text
    assert [len(string) for string in strings] == [255, len(text) - 255]


def test_a_short_zone_line_has_one_string() -> None:
    assert zone_line("a.test.", 'say "hi" \\') == r'a.test. IN TXT "say \"hi\" \\"'
