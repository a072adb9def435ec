"""What to do about a refusal of a token endpoint.

The error decides; Microsoft's numbers may change, so they only make the text more exact.
"""

from collections.abc import Mapping

from relay.oauth.account import Account
from relay.oauth.token_responses import Refusal

NO_LOGIN = "no login is stored"

_BY_CODE: Mapping[str, str] = {
    "AADSTS7000215": "The client secret is wrong. Use the Value of the secret, not its ID.",
    "AADSTS7000222": "The client secret has expired. Create a new one in the app registration.",
    "AADSTS700016": "There is no such app in this tenant. Check client_id and tenant.",
    "AADSTS90002": "There is no such tenant. Check tenant.",
    "AADSTS900023": "The tenant is neither a name nor an id. Check tenant.",
    "AADSTS65001": "Nobody has consented to the permissions. An administrator has to grant them.",
    "AADSTS700027": "The certificate is not that of the app registration. Upload it there.",
    "AADSTS700082": "The refresh token was not used for too long. Run `relay oauth login {name}`.",
    "AADSTS50173": "The password of the mailbox was changed. Run `relay oauth login {name}`.",
    "AADSTS50076": "The tenant asks for a second factor. Run `relay oauth login {name}`.",
    "AADSTS50034": "There is no such user in this tenant. Check username and tenant.",
    "AADSTS50057": "The mailbox is disabled.",
    "AADSTS7000218": "The endpoint asks for a client secret. Allow public client flows, or set client_secret_file.",
    "AADSTS70011": "The scope is not valid. Leave scope empty for the usual one.",
}

_BY_ERROR: Mapping[tuple[str, str], str] = {
    (
        "invalid_client",
        "",
    ): "The application is not accepted. Check client_id and its secret or certificate.",
    (
        "unauthorized_client",
        "google",
    ): "Allow the service account this scope: domain-wide delegation.",
    ("unauthorized_client", ""): "The application may not do this. Check client_id and its permissions.",
    ("invalid_grant", "app"): "Check username: it must be a mailbox of the domain. Check the clock of this machine.",
    ("invalid_grant", "google"): (
        "The login was revoked or has expired. Run `relay oauth login {name}`. "
        "While the consent screen is in testing, Google ends logins after 7 days."
    ),
    ("invalid_grant", ""): "The login was revoked or has expired. Run `relay oauth login {name}`.",
    ("interaction_required", ""): "Somebody has to log in. Run `relay oauth login {name}`.",
    ("consent_required", ""): "Somebody has to consent. Run `relay oauth login {name}`.",
    ("invalid_scope", ""): "The scope is not valid for this application. Leave scope empty for the usual one.",
    ("access_denied", ""): "The login was declined.",
    ("expired_token", ""): "Nobody typed the code in. Run `relay oauth login {name}` again.",
}
"""Text by error, and by flow or preset where that makes a difference."""

_FOR_NOW = "The relay asks again. Check the network, and the state of the service."

_OTHER = "Check the oauth table of the account."


def guidance_of(refusal: Refusal, account: Account) -> str:
    """Return what to do about a refusal."""
    return _template(refusal, account).format(name=account.name)


def _template(refusal: Refusal, account: Account) -> str:
    if not refusal.is_final:
        return _FOR_NOW
    if refusal.error == NO_LOGIN:
        return "Run `relay oauth login {name}`."
    if refusal.code in _BY_CODE:
        return _BY_CODE[refusal.code]
    kinds: tuple[str, ...] = (account.oauth.flow, account.oauth.preset, "")
    if account.oauth.preset == "google" and account.oauth.flow == "user":
        kinds = ("google", "user", "")
    return next((text for kind in kinds if (text := _BY_ERROR.get((refusal.error, kind)))), _OTHER)
