"""Checks of the OAuth2 tables: what a preset and a flow need, and what contradicts them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

from relay.config.errors import Problem
from relay.config.listener_checks import is_loopback
from relay.config.oauth import OAuth
from relay.config.settings import Imap, Provider, Settings
from relay.config.toml_positions import KeyPath

IMAP_ACCOUNT = "bounces.imap"
"""Name of the bounce mailbox among the accounts with OAuth2; the others are named as their providers."""

WARN_DAYS = 30
"""Days before the end of a client secret from which it is reported."""


def oauth_tables(settings: Settings) -> Iterator[tuple[KeyPath, Provider | Imap, OAuth]]:
    """Yield each table with its path, and the section that it belongs to."""
    for index, provider in enumerate(settings.providers):
        if provider.oauth is not None:
            yield ("provider", index, "oauth"), provider, provider.oauth
    if settings.bounces.imap is not None and settings.bounces.imap.oauth is not None:
        yield ("bounces", "imap", "oauth"), settings.bounces.imap, settings.bounces.imap.oauth


def oauth_errors(settings: Settings) -> Iterator[Problem]:
    """Yield what makes an OAuth2 table unusable."""
    for path, owner, oauth in oauth_tables(settings):
        owner_path = path[:-1]
        if owner.password.get_secret_value():
            yield Problem((*owner_path, "password"), "is set, and an oauth table too", "one of them")
        if not owner.username:
            problem = "is missing: a login names the mailbox of the token"
            yield Problem((*owner_path, "username"), problem, "the address of the mailbox")
        if owner.tls == "none" and not is_loopback(owner.host):
            yield Problem(
                (*owner_path, "tls"), "the access token would be sent in clear text", '"starttls" or "implicit"'
            )
        if isinstance(owner, Provider) and owner.name == IMAP_ACCOUNT:
            yield Problem((*owner_path, "name"), f"{IMAP_ACCOUNT} is the name of the bounce mailbox", "another name")
        yield from _of_preset(path, oauth)


def _of_preset(path: KeyPath, oauth: OAuth) -> Iterator[Problem]:
    match oauth.preset, oauth.flow:
        case "microsoft", _:
            yield from _missing(path, oauth, "tenant", "client_id")
            yield from _foreign(path, oauth, "service_account")
        case "google", "app":
            yield from _missing(path, oauth, "service_account")
            yield from _foreign(path, oauth, "tenant", "client_id", "client_secret", "certificate")
        case "google", "user":
            yield from _missing(path, oauth, "client_id", "client_secret")
            yield from _foreign(path, oauth, "tenant", "service_account", "certificate")
        case _:
            yield from _missing(path, oauth, "token_url", "client_id")
            yield from _foreign(path, oauth, "tenant", "service_account")
    if oauth.preset != "google":
        yield from _client(path, oauth)
    if oauth.preset == "custom" and oauth.flow == "user" and not (oauth.device_url or oauth.authorization_url):
        allowed = "device_url (RFC 8628) or authorization_url"
        yield Problem((*path, "flow"), '"user" needs a page where the person logs in', allowed)


def _client(path: KeyPath, oauth: OAuth) -> Iterator[Problem]:
    """Yield an application that proves itself in two ways, or in none though it is the one that is authorised."""
    if oauth.client_secret.get_secret_value() and oauth.certificate.get_secret_value():
        yield Problem((*path, "certificate"), "is set, and client_secret too", "one of them")
    elif oauth.flow == "app" and not (oauth.client_secret.get_secret_value() or oauth.certificate.get_secret_value()):
        allowed = 'client_secret_file or certificate_file, or flow = "user" and `relay oauth login`'
        yield Problem((*path, "client_secret"), 'is missing: the flow is "app"', allowed)


def _missing(path: KeyPath, oauth: OAuth, *keys: str) -> Iterator[Problem]:
    for key in keys:
        if not _value(oauth, key):
            named = f"{key}_file" if key in ("client_secret", "service_account") else key
            yield Problem((*path, key), f"is missing: the preset is {oauth.preset}", named)


def _foreign(path: KeyPath, oauth: OAuth, *keys: str) -> Iterator[Problem]:
    for key in keys:
        if _value(oauth, key):
            problem = f'is set, and the preset {oauth.preset} with flow = "{oauth.flow}" has no use for it'
            yield Problem((*path, key), problem, "nothing")


def _value(oauth: OAuth, key: str) -> str:
    value = getattr(oauth, key)
    return value if isinstance(value, str) else str(value.get_secret_value())


def oauth_warnings(settings: Settings, now: float) -> Iterator[Problem]:
    """Yield client secrets that expire within WARN_DAYS of this time, in Unix seconds."""
    for path, _, oauth in oauth_tables(settings):
        if text := secret_expiry(oauth, now):
            yield Problem((*path, "client_secret_expires"), text)


def secret_expiry(oauth: OAuth, now: float) -> str:
    """Return that the client secret expires soon or has expired, "" if it does not."""
    if not oauth.client_secret_expires:
        return ""
    days = (date.fromisoformat(oauth.client_secret_expires) - datetime.fromtimestamp(now, UTC).date()).days
    if days > WARN_DAYS:
        return ""
    when = f"expires in {days} days" if days > 0 else "expires today" if days == 0 else f"expired {-days} days ago"
    return f"the client secret {when} ({oauth.client_secret_expires}): create a new one, and put it in its place"
