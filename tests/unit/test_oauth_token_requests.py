"""What is posted to token endpoints, what their answers mean, and what to do about each."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from relay.oauth.account import accounts_of
from relay.oauth.guidance import guidance_of
from relay.oauth.token_requests import app_request, device_code_request, refresh_request
from relay.oauth.token_responses import DEFAULT_LIFE, Grant, Refusal, parse_answer
from tests.shared import shared
from tests.unit.oauth_parts import (
    MICROSOFT,
    USER,
    account_of,
    certificate_pem,
    private_key,
    service_account,
    settings_with,
)

NOW = 1_800_000_000.0


def _part(text: str) -> Any:
    return json.loads(_octets(text))


def _octets(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_an_application_of_microsoft_asks_for_its_own_token() -> None:
    url, form = app_request(account_of(MICROSOFT), NOW, "once")
    assert url == "https://login.microsoftonline.com/acme.test/oauth2/v2.0/token"
    assert form == {
        "grant_type": "client_credentials",
        "scope": "https://outlook.office365.com/.default",
        "client_id": "app",
        "client_secret": "s",
    }


def test_an_application_of_microsoft_proves_itself_by_its_certificate() -> None:
    oauth = {**MICROSOFT, "client_secret": "", "certificate": certificate_pem()}
    url, form = app_request(account_of(oauth), NOW, "once")
    header, claims, signature = form["client_assertion"].split(".")
    thumbprint = x509.load_pem_x509_certificate(certificate_pem().encode()).fingerprint(hashes.SHA256())
    assert _part(header)["alg"] == "PS256"
    assert _octets(_part(header)["x5t#S256"]) == thumbprint
    expected = {"iss": "app", "sub": "app", "aud": url, "jti": "once", "nbf": int(NOW), "exp": int(NOW) + 600}
    assert _part(claims) == expected
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    private_key().public_key().verify(_octets(signature), f"{header}.{claims}".encode(), pss, hashes.SHA256())
    assert "client_secret" not in form


def test_a_service_account_of_google_asks_for_a_token_of_the_mailbox() -> None:
    url, form = app_request(account_of({"preset": "google", "service_account": service_account()}), NOW, "once")
    assert url == "https://oauth2.googleapis.com/token"
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    header, claims, signature = form["assertion"].split(".")
    assert _part(header) == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
    assert _part(claims) == {
        "iss": "relay@project.iam.gserviceaccount.com",
        "sub": "billing@acme.test",
        "aud": "https://oauth2.googleapis.com/token",
        "scope": "https://mail.google.com/",
        "iat": int(NOW),
        "exp": int(NOW) + 3600,
    }
    signed = f"{header}.{claims}".encode()
    private_key().public_key().verify(_octets(signature), signed, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("oauth", "scope"),
    [
        ({**MICROSOFT, "flow": "user"}, "https://outlook.office.com/SMTP.Send offline_access"),
        ({**MICROSOFT, "flow": "user", "scope": "mine"}, "mine"),
        ({"preset": "google", "flow": "user", "client_id": "app", "client_secret": "s"}, None),
        (USER, None),
    ],
)
def test_a_refresh_token_is_exchanged_for_the_scope_of_the_preset(oauth: Mapping[str, Any], scope: str | None) -> None:
    _, form = refresh_request(account_of(oauth), "refresh-1", NOW, "once")
    assert (form["grant_type"], form["refresh_token"], form.get("scope")) == ("refresh_token", "refresh-1", scope)


def test_the_bounce_mailbox_asks_for_scopes_of_imap() -> None:
    imap = {"host": "h", "username": "bounces@acme.test"}
    found = {
        flow: accounts_of(settings_with(MICROSOFT).model_validate({"bounces": {"imap": {**imap, "oauth": oauth}}}))
        for flow, oauth in {
            "app": dict(MICROSOFT),
            "user": {**MICROSOFT, "flow": "user"},
            "google": {"preset": "google", "service_account": service_account()},
        }.items()
    }
    assert {flow: one["bounces.imap"].scope for flow, one in found.items()} == {
        "app": "https://outlook.office365.com/.default",
        "user": "https://outlook.office.com/IMAP.AccessAsUser.All offline_access",
        "google": "https://www.googleapis.com/auth/gmail.imap_admin",
    }


def test_the_device_code_of_google_is_not_asked_for_because_its_scopes_are_not_allowed_there() -> None:
    assert account_of({**MICROSOFT, "flow": "user"}).device_url.endswith("/acme.test/oauth2/v2.0/devicecode")
    assert account_of({"preset": "google", "flow": "user", "client_id": "a", "client_secret": "s"}).device_url == ""
    assert device_code_request(account_of(USER)) == ("https://login.test/device", {"client_id": "app"})


@pytest.mark.parametrize(
    ("values", "life"),
    [
        ({"expires_in": 3599}, 3599.0),
        ({"expires_in": "3599"}, 3599.0),
        ({}, DEFAULT_LIFE),
        ({"expires_in": None}, DEFAULT_LIFE),
        ({"expires_in": "soon"}, DEFAULT_LIFE),
        ({"expires_in": float("nan")}, DEFAULT_LIFE),
        ({"expires_in": -5}, 60.0),
        ({"expires_in": 10**12}, 86400.0),
        ({"expires_in": 10**400}, DEFAULT_LIFE),
    ],
)
def test_the_life_of_a_token_is_read_however_it_is_written(values: dict[str, Any], life: float) -> None:
    body = json.dumps({"access_token": "t", "token_type": "bearer", **values}).encode()
    assert parse_answer(200, body) == Grant("t", life)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nonsense",
        b'{"access_token": 5}',
        b'{"access_token": "a\\r\\nb"}',
        b'{"access_token": "t", "token_type": "mac"}',
        b'{"access_token": ""}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_an_answer_without_a_usable_token_is_no_token(body: bytes) -> None:
    found = parse_answer(200, body)
    assert isinstance(found, Refusal)
    assert not found.is_final


@pytest.mark.parametrize(
    ("status", "body", "final"),
    [
        (400, {"error": "invalid_grant"}, True),
        (401, {"error": "invalid_client"}, True),
        (400, {"error": "temporarily_unavailable"}, False),
        (429, {"error": "invalid_client"}, False),
        (503, {"error": "invalid_client"}, False),
        (400, {}, True),
        (401, {}, True),
        (403, {}, False),
        (404, {}, False),
        (407, {}, False),
        (403, {"error": "access_denied"}, True),
        (408, {}, False),
        (200, {"error": "bad_refresh_token", "access_token": ""}, True),
        (200, {"error": "temporarily_unavailable"}, False),
        (302, {}, False),
        (502, {}, False),
    ],
)
def test_a_refusal_is_final_unless_the_endpoint_is_busy(status: int, body: dict[str, str], final: bool) -> None:
    found = parse_answer(status, json.dumps(body).encode())
    assert isinstance(found, Refusal)
    assert found.is_final is final


_EXPECTED = {
    "7000215": "Value of the secret, not its ID",
    "7000222": "has expired",
    "700016": "client_id and tenant",
    "65001": "administrator",
    "": "relay oauth login",
}


def test_the_errors_of_the_vendors_have_their_guidance() -> None:
    cases = json.loads(shared("data/vendors/oauth/sasl.json").read_text())["token_errors"]
    google = {"preset": "google", "flow": "user", "client_id": "app", "client_secret": "s"}
    for case in cases:
        code = str(next(iter(case["body"].get("error_codes", [])), ""))
        found = parse_answer(400, json.dumps(case["body"]).encode())
        assert isinstance(found, Refusal)
        assert found.is_final
        guidance = guidance_of(found, account_of(MICROSOFT if code else google))
        assert _EXPECTED[code] in guidance, case["means"]


def test_an_unknown_number_of_microsoft_is_judged_by_the_error() -> None:
    found = parse_answer(401, b'{"error": "invalid_client", "error_description": "AADSTS99999: new"}')
    assert isinstance(found, Refusal)
    assert "client_id and its secret" in guidance_of(found, account_of(MICROSOFT))


SECRET = "s/" + "x" * 400


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"error": "invalid_client", "error_description": f"the secret {SECRET} is wrong"}),
        json.dumps({"error": SECRET}),
        f"<p>client_secret={quote_plus(SECRET)}</p>",
        f"{'y' * 290} {SECRET}",
    ],
)
def test_no_part_of_a_secret_is_left_in_the_text_of_a_refusal(body: str) -> None:
    found = parse_answer(401, body.encode(), [SECRET])
    assert isinstance(found, Refusal)
    assert "xxx" not in f"{found} {found!r}"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"access_token=very-secret&token_type=bearer"),
        (200, b'["very-secret"]'),
        (201, b'{"access_token": "very-secret"}'),
        (203, b'{"access_token": "very-secret", "refresh_token": "very-secret"}'),
    ],
)
def test_a_success_that_is_not_read_shows_no_token(status: int, body: bytes) -> None:
    found = parse_answer(status, body)
    assert isinstance(found, Refusal)
    assert not found.is_final
    assert "very-secret" not in f"{found} {found!r}"
