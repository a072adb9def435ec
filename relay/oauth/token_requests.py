"""Requests to a token endpoint (RFC 6749 section 4), as form fields. Pure but for the signature."""

from collections.abc import Mapping

from relay.config.oauth import OAuth
from relay.config.oauth_keys import service_account_of
from relay.oauth.account import Account
from relay.oauth.assertion import Algorithm, client_assertion, service_account_assertion

Form = Mapping[str, str]

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def app_request(account: Account, now: float, unique: str) -> tuple[str, Form]:
    """Return URL and form that ask for a token of the application itself. `unique` is a text that is used once."""
    key_file = account.oauth.service_account.get_secret_value()
    if key_file:
        assertion = service_account_assertion(key_file, account.username, account.scope, now)
        return service_account_url(account), {"grant_type": JWT_GRANT, "assertion": assertion}
    form = {"grant_type": "client_credentials", **_scope(account), **_client(account, now, unique)}
    return account.token_url, form


def service_account_url(account: Account) -> str:
    """Return the endpoint that the key file of a service account names, unless the configuration has another one."""
    return account.oauth.token_url or str(
        service_account_of(account.oauth.service_account.get_secret_value())["token_uri"]
    )


def refresh_request(account: Account, refresh_token: str, now: float, unique: str) -> tuple[str, Form]:
    """Return URL and form that exchange a refresh token (RFC 6749 section 6)."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **_client(account, now, unique)}
    # Google keeps the scope of the login, and refuses another one.
    return account.token_url, form if account.oauth.preset == "google" else {**form, **_scope(account)}


def device_code_request(account: Account) -> tuple[str, Form]:
    """Return URL and form that ask for a code to be typed in (RFC 8628 section 3.1)."""
    return account.device_url, {"client_id": account.oauth.client_id, **_scope(account)}


def device_token_request(account: Account, device_code: str, now: float, unique: str) -> tuple[str, Form]:
    """Return URL and form that ask whether the code was typed in (RFC 8628 section 3.4)."""
    return account.token_url, {
        "grant_type": DEVICE_GRANT,
        "device_code": device_code,
        **_client(account, now, unique),
    }


def code_request(
    account: Account, code: str, verifier: str, redirect: str, now: float, unique: str
) -> tuple[str, Form]:
    """Return URL and form that exchange the code of a login (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
    return account.token_url, {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": redirect,
        **_client(account, now, unique),
    }


def _scope(account: Account) -> Form:
    return {"scope": account.scope} if account.scope else {}


def _client(account: Account, now: float, unique: str) -> Form:
    """Return the fields by which the application names and proves itself."""
    oauth: OAuth = account.oauth
    form = {"client_id": oauth.client_id}
    if secret := oauth.client_secret.get_secret_value():
        return {**form, "client_secret": secret}
    if pem := oauth.certificate.get_secret_value():
        algorithm: Algorithm = "PS256" if oauth.preset == "microsoft" else "RS256"
        assertion = client_assertion(pem, oauth.client_id, account.token_url, now, unique, algorithm)
        return {**form, "client_assertion_type": CLIENT_ASSERTION, "client_assertion": assertion}
    return form
