"""`[provider.oauth]` and `[bounces.imap.oauth]`: login by OAuth2 in place of a password."""

from datetime import date, datetime
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from relay.config.parsers import quoted, setting_error
from relay.config.values import FROM_FILE, Section, Text

Flow = Literal["app", "user"]
"""Who is authorised: the application itself, or a person who logged in once."""

_PEM = "a PEM file with certificate and RSA key"

_HTTPS = '"https://host/path"'


def _endpoint(value: str) -> str:
    """Accept an https URL, and http on loopback; secrets are posted to it."""
    url = value.strip()
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isascii()
    except ValueError:  # The port or an IPv6 address is invalid.
        usable = False
    if not usable or " " in url or not url.isprintable() or parts.username is not None or parts.fragment:
        raise setting_error(f"{quoted(value)} is not the URL of an endpoint", _HTTPS)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise setting_error("secrets would be sent in clear text", _HTTPS)
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _date_text(value: object) -> object:
    return value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else value


def _date(value: str) -> str:
    if value:
        try:
            date.fromisoformat(value)
        except ValueError:
            raise setting_error(f"{quoted(value)} is not a date", "a date such as 2027-03-01") from None
    return value


def _service_account(value: SecretStr) -> SecretStr:
    if value.get_secret_value():
        from relay.config.oauth_keys import service_account_of  # Not at the top: it loads cryptography.

        try:
            found = service_account_of(value.get_secret_value())
        except ValueError as error:
            raise setting_error(f"the key of the service account {error}", "the JSON file of Google") from None
        _endpoint(found["token_uri"])
    return value


def _certificate(value: SecretStr) -> SecretStr:
    pem = value.get_secret_value()
    if pem:
        from relay.config.oauth_keys import certificate_of, rsa_key  # Not at the top: it loads cryptography.

        try:
            belong_together = certificate_of(pem).public_key() == rsa_key(pem).public_key()
        except ValueError as error:
            raise setting_error(f"the certificate {error}", _PEM) from None
        if not belong_together:
            raise setting_error("the key is not that of the certificate", _PEM)
    return value


Endpoint = Annotated[str, AfterValidator(_endpoint)]

Day = Annotated[str, BeforeValidator(_date_text, json_schema_input_type=str), AfterValidator(_date)]
"""A day as "2027-03-01", "" for none; TOML may have it as a date."""


class OAuth(Section):
    """`[provider.oauth]`, `[bounces.imap.oauth]`: the source of access tokens. Empty values are those of the preset."""

    preset: Literal["microsoft", "google", "custom"] = Field(examples=["custom"])
    flow: Flow = "app"
    tenant: Text = ""
    client_id: Text = ""
    client_secret: Annotated[SecretStr, FROM_FILE] = Field(default=SecretStr(""), examples=["secret"])
    client_secret_expires: Day = ""
    certificate: Annotated[SecretStr, FROM_FILE, AfterValidator(_certificate)] = SecretStr("")
    service_account: Annotated[SecretStr, FROM_FILE, AfterValidator(_service_account)] = SecretStr("")
    scope: Text = ""
    token_url: Endpoint = ""
    device_url: Endpoint = ""
    authorization_url: Endpoint = ""
