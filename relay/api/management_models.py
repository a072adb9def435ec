"""The bodies and answers of the routes that the admin socket has too, as models: OpenAPI is made of them."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Rows(BaseModel):
    """Rows have further fields, as the commands with --json show them."""

    model_config = ConfigDict(frozen=True, extra="allow")


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SuppressionRow(_Rows):
    """An address that gets no mail of a domain or identity."""

    address: str
    domain: str = Field(description="Domain or identity; empty: mail of all senders")
    reason: str
    state: str = Field(description="suppressed, probation or ended")


class SuppressionRows(_Rows):
    """A page. The next one has `after=ADDRESS/DOMAIN` of the last row."""

    suppressions: tuple[SuppressionRow, ...]


class NewSuppression(_Body):
    """An address to suppress."""

    address: str
    domain: str = ""
    reason: str = ""
    reply: str = Field(default="", description="A note")
    expires_at: str = Field(default="", description="End (RFC 3339); empty: never")


class NewSuppressions(_Body):
    """Addresses to suppress. If one is not valid, none is added."""

    suppressions: tuple[NewSuppression, ...]


class UnsubscribeRow(_Rows):
    """An address that left a campaign, or all of a domain."""

    address: str
    domain: str
    campaign: str
    source: str


class UnsubscribeRows(_Rows):
    """A page. The next one has `after` three times: address, domain and campaign of the last row."""

    unsubscribes: tuple[UnsubscribeRow, ...]


class NewUnsubscribe(_Body):
    """An address to unsubscribe."""

    address: str
    domain: str = ""
    campaign: str = Field(default="", description="Empty: all campaigns of the domain")


class NewUnsubscribes(_Body):
    """Addresses to unsubscribe. If one is not valid, none is added."""

    unsubscribes: tuple[NewUnsubscribe, ...]


class SuppressionRemoval(_Body):
    """Addresses to take off the list of a domain or identity; without a domain off that of all mail."""

    addresses: tuple[str, ...]
    domain: str = ""


class UnsubscribeRemoval(_Body):
    """Addresses to take off; without domain or campaign off the lists of all of them."""

    addresses: tuple[str, ...]
    domain: str | None = None
    campaign: str | None = None


class DomainRow(_Rows):
    """A sending domain with the result of its last check."""

    domain: str
    state: str
    verified: bool


class DomainRows(_Rows):
    """The sending domains."""

    domains: tuple[DomainRow, ...]


class KeyRows(_Rows):
    """The DKIM keys of a domain."""

    keys: tuple[Mapping[str, Any], ...]


class Rotation(_Body):
    """The kind of the next key."""

    algorithm: Literal["rsa", "ed25519"]
    bits: int = 2048


class NextKey(_Rows):
    """The next key, and the DNS record to publish."""

    selector: str
    name: str
    record: str
    zone_line: str


class IdentityRow(_Rows):
    """An identity with its limits, their use, its pause and its tests."""

    address: str
    verified: bool


class IdentityRows(_Rows):
    """The identities, and other addresses that were tested."""

    identities: tuple[IdentityRow, ...]


class TestRecipients(_Body):
    """Where a test sends its mail."""

    to: tuple[str, ...] = ()


class Code(_Body):
    """The code in the mail of a verification."""

    code: str = Field(pattern=r"^[0-9]+$")


class Reason(_Body):
    """Why an identity is paused."""

    reason: str = ""


class Result(_Rows):
    """The result of a step or a change."""


class Report(_Rows):
    """A report, as `relay report` with --json shows it."""


class Limits(_Rows):
    """The use of the limits: identities, and for callers without restriction providers."""

    identities: tuple[Mapping[str, Any], ...]
    providers: tuple[Mapping[str, Any], ...]
