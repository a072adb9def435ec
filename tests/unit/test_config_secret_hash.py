"""Hashes of credentials."""

import base64
import hashlib

import pytest

from relay.config.secret_hash import SecretHashError, hash_secret, parse_secret_hash, verify_secret

_SALT = bytes(range(16))


def test_only_the_secret_matches_its_hash() -> None:
    made = hash_secret("correct horse", _SALT)
    assert made.startswith("blake2b:AAECAwQFBgcICQoLDA0ODw==:")
    assert verify_secret(made, "correct horse")
    assert not verify_secret(made, "correct horse ")
    assert not verify_secret(made, "")


def test_the_salt_changes_the_hash() -> None:
    assert hash_secret("s", _SALT) != hash_secret("s", bytes(16))


def test_a_password_may_have_a_slow_hash() -> None:
    digest = hashlib.scrypt(b"pass:word", salt=_SALT, n=1024, r=8, p=1, dklen=32)
    made = "scrypt:1024:8:1:" + ":".join(base64.b64encode(part).decode() for part in (_SALT, digest))
    assert verify_secret(made, "pass:word")
    assert not verify_secret(made, "password")


@pytest.mark.parametrize("length", [7, 17])
def test_a_salt_has_8_to_16_octets(length: int) -> None:
    with pytest.raises(ValueError, match="8 to 16"):
        hash_secret("s", bytes(length))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a hash"),
        ("plain password", "is not a hash"),
        ("md5:abc:def", "is not a hash"),
        ("blake2b:AAAA:AAAA", "fewer than 8"),
        ("blake2b:***:AAAA", "the salt is not base64"),
        ("blake2b:AAAAAAAAAAAAAAAA:AAAA", "the digest has 3 octets"),
        ("blake2b:" + "A" * 24 + ":AAAA", "the salt has more than 16"),
        ("scrypt:1000:8:1:AAAAAAAAAAAAAAAA:AAAA", "power of 2"),
        ("scrypt:1024:8:x:AAAAAAAAAAAAAAAA:AAAA", "three numbers"),
        ("scrypt:16777216:64:1:AAAAAAAAAAAAAAAA:AAAA", "256 MiB"),
    ],
)
def test_the_error_of_a_malformed_hash_names_the_problem(text: str, problem: str) -> None:
    with pytest.raises(SecretHashError, match=problem):
        parse_secret_hash(text)
