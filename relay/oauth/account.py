"""Accounts that log in by OAuth2, and the endpoints and scopes of their presets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from relay.config.oauth import OAuth
from relay.config.oauth_checks import IMAP_ACCOUNT, oauth_tables
from relay.config.settings import Imap, Settings

_MICROSOFT = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0"

_GOOGLE_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105  an address

_GOOGLE_AUTHORIZATION_URL = "https://accounts.google.com/o/oauth2/v2/auth"

_SCOPES: Mapping[tuple[str, str, str], str] = {
    ("microsoft", "app", "smtp"): "https://outlook.office365.com/.default",
    ("microsoft", "app", "imap"): "https://outlook.office365.com/.default",
    ("microsoft", "user", "smtp"): "https://outlook.office.com/SMTP.Send offline_access",
    ("microsoft", "user", "imap"): "https://outlook.office.com/IMAP.AccessAsUser.All offline_access",
    ("google", "app", "smtp"): "https://mail.google.com/",
    ("google", "app", "imap"): "https://www.googleapis.com/auth/gmail.imap_admin",
    ("google", "user", "smtp"): "https://mail.google.com/",
    ("google", "user", "imap"): "https://mail.google.com/",
}
"""Scope by preset, flow and protocol."""


@dataclass(frozen=True, slots=True)
class Account:
    """A provider or the bounce mailbox with OAuth2. `username` is the mailbox for which the token is."""

    name: str
    protocol: Literal["smtp", "imap"]
    username: str
    oauth: OAuth

    @property
    def token_url(self) -> str:
        """The token endpoint (RFC 6749 section 3.2)."""
        return self.oauth.token_url or self._of_preset("token", _GOOGLE_TOKEN_URL)

    @property
    def device_url(self) -> str:
        """The device authorization endpoint (RFC 8628), "" if there is none."""
        # Google's gives no token for mail: its scopes are not allowed there.
        return self.oauth.device_url or self._of_preset("devicecode", "")

    @property
    def authorization_url(self) -> str:
        """The page where the person logs in (RFC 6749 section 3.1), "" if there is none."""
        return self.oauth.authorization_url or self._of_preset("authorize", _GOOGLE_AUTHORIZATION_URL)

    @property
    def scope(self) -> str:
        """The scopes to ask for, "" for those that the endpoint gives by itself."""
        return self.oauth.scope or _SCOPES.get((self.oauth.preset, self.oauth.flow, self.protocol), "")

    @property
    def needs_login(self) -> bool:
        """Whether a person has to log in once."""
        return self.oauth.flow == "user"

    def _of_preset(self, microsoft: str, google: str) -> str:
        match self.oauth.preset:
            case "microsoft":
                return f"{_MICROSOFT.format(tenant=self.oauth.tenant)}/{microsoft}"
            case "google":
                return google
            case "custom":
                return ""


def accounts_of(settings: Settings) -> Mapping[str, Account]:
    """Return the accounts of a configuration, by name: that of the provider, or "bounces.imap"."""
    found: dict[str, Account] = {}
    for _, owner, oauth in oauth_tables(settings):
        if isinstance(owner, Imap):
            found[IMAP_ACCOUNT] = Account(IMAP_ACCOUNT, "imap", owner.username, oauth)
        else:
            found[owner.name] = Account(owner.name, "smtp", owner.username, oauth)
    return found


def host_of(url: str) -> str:
    """Return the host of an endpoint, for texts."""
    return urlsplit(url).hostname or url
