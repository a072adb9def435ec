"""Signatures: those of the specification's own vectors, rotation, and what does not verify."""

import base64
import json
from typing import Any

import pytest

from relay.webhooks.signing import (
    Ed25519Key,
    mailgun_signature,
    new_secret,
    parse_key,
    sendgrid_key,
    standard_headers,
    verify_standard,
)
from tests.contract.values import NOW
from tests.shared import SHARED

VECTORS = SHARED / "data" / "vendors" / "webhooks" / "signatures.json"

FIRST, SECOND = (parse_key(new_secret(bytes([number]) * 32)) for number in (1, 2))


@pytest.fixture(scope="module")
def vectors() -> Any:
    if not VECTORS.exists():
        pytest.skip("the signature vectors are not present")
    return json.loads(VECTORS.read_text())


def test_the_vectors_of_standard_webhooks_come_out_octet_by_octet(vectors: Any) -> None:
    given = vectors["standard_webhooks"]
    body, message_id = given["body"].encode(), given["headers"]["webhook-id"]
    at = int(given["headers"]["webhook-timestamp"])
    key, old = parse_key(given["secret"]), parse_key(given["old_secret"])
    assert standard_headers([key], message_id, at, body) == given["headers"]
    assert standard_headers([key, old], message_id, at, body) == given["headers_rotation"]

    private = parse_key(given["asymmetric"]["secret"])
    assert isinstance(private, Ed25519Key)
    assert private.public == given["asymmetric"]["public"]
    assert standard_headers([key, private], message_id, at, body) == given["asymmetric"]["headers"]


def test_mailgun_and_its_vector_agree(vectors: Any) -> None:
    given = vectors["mailgun"]
    made = mailgun_signature(given["signing_key"], float(given["timestamp"]), given["token"])
    assert made["signature"] == given["signature"]


def test_any_key_of_a_rotation_verifies_and_nothing_else_does() -> None:
    body = b'{"type":"message.open"}'
    headers = standard_headers([FIRST, SECOND], "evt_a", NOW, body)
    assert verify_standard([FIRST], headers, body, NOW) == ""
    assert verify_standard([SECOND], headers, body, NOW) == ""
    assert "no signature" in verify_standard([parse_key(new_secret(b"x" * 24))], headers, body, NOW)
    assert "no signature" in verify_standard([FIRST], headers, body + b" ", NOW)
    assert "no signature" in verify_standard([FIRST], headers | {"webhook-id": "evt_b"}, body, NOW)
    assert "300 seconds" in verify_standard([FIRST], headers, body, NOW + 301)
    assert "no webhook-id" in verify_standard([FIRST], {}, body, NOW)


def test_without_a_key_a_post_has_an_id_and_a_time_only() -> None:
    assert set(standard_headers([], "evt_a", NOW, b"{}")) == {"webhook-id", "webhook-timestamp"}


def test_the_key_of_sendgrid_is_the_same_at_each_start_and_differs_by_secret() -> None:
    one, again, other = (sendgrid_key(key).private_numbers().private_value for key in (FIRST, FIRST, SECOND))
    assert one == again != other


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("secret", "begins with"),
        ("whsec_!!!", "is not base64"),
        (f"whsec_{base64.b64encode(b'short').decode()}", "5 octets"),
        (f"whsec_{base64.b64encode(b'x' * 65).decode()}", "65 octets"),
        (f"whsk_{base64.b64encode(b'x' * 31).decode()}", "31 octets"),
    ],
)
def test_a_text_that_is_no_key_is_refused_without_showing_it(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as caught:
        parse_key(text)
    assert text.partition("_")[2] not in str(caught.value) or "_" not in text


def test_a_private_key_of_64_octets_is_read_as_its_seed() -> None:
    seed = bytes(range(32))
    both = f"whsk_{base64.b64encode(seed + b'p' * 32).decode()}"
    assert parse_key(both) == parse_key(f"whsk_{base64.b64encode(seed).decode()}")
