"""`[console]`: logins are never in clear text, and each fault names its key and what would be right."""

from typing import Any

import pytest
from pydantic import ValidationError

from relay.config.checks import find_errors, find_warnings
from relay.config.errors import key_text
from relay.config.secret_hash import PASSWORD_COST, hash_password, parse_secret_hash
from relay.config.settings import Settings

HASH = hash_password("4k7q-9x2m-aaaa-bbbb", b"saltsalt", (2, 1, 1))
OWNER = {"people": {"Jane@ACME.test": {"role": "owner", "code_hash": HASH}}}


def settings(**console: Any) -> Settings:
    return Settings.model_validate({"console": OWNER | console})


def faults(**console: Any) -> list[str]:
    return [f"{key_text(one.path)} {one.problem}" for one in find_errors(settings(**console))]


@pytest.mark.parametrize(
    ("console", "origin"),
    [
        ({"address": "127.0.0.1:8027"}, "http://127.0.0.1:8027"),
        ({"address": "localhost:80"}, "http://localhost"),
        ({"address": "127.0.0.1:8027", "url": "https://Relay.ACME.test/"}, "https://relay.acme.test"),
        (
            {"address": "0.0.0.0:443", "certificate": "a.pem", "url": "https://relay.acme.test"},
            "https://relay.acme.test",
        ),
        ({"address": "relay.acme.test:443", "certificate": "a.pem"}, "https://relay.acme.test"),
        ({"address": "[::1]:8027"}, "http://[::1]:8027"),
    ],
)
def test_the_origin_is_what_browsers_show(console: dict[str, Any], origin: str) -> None:
    assert settings(**console).console.origin == origin
    assert faults(**console) == []


@pytest.mark.parametrize(
    ("console", "fault"),
    [
        ({"address": "0.0.0.0:8027"}, "console.address http://0.0.0.0:8027 has no TLS"),
        (
            {"address": "127.0.0.1:8027", "url": "http://relay.acme.test"},
            "console.url http://relay.acme.test has no TLS",
        ),
        ({"address": "192.0.2.1:8027", "url": "https://relay.acme.test"}, "console.address 192.0.2.1:8027 has no TLS"),
        ({"address": "127.0.0.1:8027", "key": "a.key"}, "console.certificate is missing: there is a key"),
        (
            {"address": "127.0.0.1:8027", "certificate": "a.pem", "url": "http://localhost:8027"},
            "console.url http://localhost:8027 has no TLS, but there is a certificate",
        ),
        ({"address": "127.0.0.1:8025"}, "console.address tracker listens there already"),
    ],
)
def test_passwords_in_clear_text_are_refused(console: dict[str, Any], fault: str) -> None:
    assert [one for one in faults(**console) if fault in one], faults(**console)


@pytest.mark.parametrize(
    ("console", "said"),
    [
        ({"url": "https://relay.acme.test/console"}, "has a path"),
        ({"people": {"jane": {"role": "owner", "code_hash": HASH}}}, "is not a mail address"),
        ({"people": {"jane@acme.test": {"role": "admin", "code_hash": HASH}}}, "viewer"),
        ({"people": {"jane@acme.test": {"role": "owner", "code_hash": "secret"}}}, "is not a hash"),
        ({"people": {"jane@acme.test": {"role": "owner"}}}, "code_hash"),
        (
            {"people": {"jane@acme.test": {"role": "owner", "code_hash": HASH}, "JANE@acme.test": {}}},
            "configured twice in different spellings",
        ),
    ],
)
def test_values_that_cannot_be_are_named(console: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        settings(**console)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value).replace("secret_", "").replace("of a secret", "")


def warnings(**console: Any) -> list[str]:
    found = find_warnings(Settings.model_validate({"console": console, "domains": {"acme.test": {}}}))
    return [f"{key_text(one.path)} {one.problem}" for one in found if one.path[0] == "console"]


def test_a_console_that_nobody_can_use_is_reported() -> None:
    address = {"address": "127.0.0.1:8027"}
    viewer = {"people": {"jane@acme.test": {"role": "viewer", "code_hash": HASH, "domains": ["acne.test"]}}}
    assert "has no owner" in warnings(**address)[0]
    assert [one.partition(":")[0] for one in warnings(**address, **viewer)] == [
        "console.people has no owner, so the page of people is closed to all",
        'console.people."jane@acme.test".domains[0] there is no [domains.acne.test]',
    ]
    assert warnings(**OWNER) == ["console.address is empty, so no login is possible"]
    assert warnings(**address, **OWNER) == []
    assert warnings() == []


def test_passwords_are_hashed_by_scrypt_with_its_cost() -> None:
    hashed = hash_password("harbour lights", bytes(16))
    parsed = parse_secret_hash(hashed)
    assert (parsed.n, parsed.r, parsed.p) == PASSWORD_COST
    assert parsed.matches("harbour lights")
    assert not parsed.matches("harbour light")
    with pytest.raises(ValueError, match="8 or more"):
        hash_password("x", b"short")
