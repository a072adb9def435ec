"""Schemas of the routes that the admin socket has too: bodies and responses as models, of which OpenAPI is made."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from relay.admin.requests import MAX_REASON
from relay.verification.challenge import DIGITS


class Answer(BaseModel):
    """Rows have further fields, as the commands with --json show them."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="allow")


class RequestBody(BaseModel):
    """A key that is not known is an error."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class SuppressionRow(Answer):
    """An address that gets no mail of a domain or identity."""

    address: str
    domain: str = Field(description="Domain or identity; empty: mail of all senders")
    reason: str
    state: str = Field(description="suppressed, probation or ended")


class SuppressionRows(Answer):
    """A page. The next one has `after=ADDRESS/DOMAIN` of the last row."""

    suppressions: tuple[SuppressionRow, ...]


class NewSuppression(RequestBody):
    """An address to suppress, with the keys that a row of the list has."""

    address: str
    domain: str | None = None
    reason: str | None = None
    rule: str | None = None
    reply: str | None = Field(default=None, description="A note")
    queue_id: str | None = None
    created_at: str | None = Field(default=None, description="RFC 3339; absent: now")
    expires_at: str | None = Field(default=None, description="End (RFC 3339); absent: never")
    provenance: Literal["", "operator", "import"] | None = Field(
        default=None, description="Absent: operator. Evidence that only the relay can have is not claimed here"
    )
    proof: str | None = None
    state: str | None = Field(default=None, description="Of an exported row: ignored")
    probation: str | None = Field(default=None, description="Of an exported row: ignored")


class NewSuppressions(RequestBody):
    """Addresses to suppress. If one is not valid, none is added."""

    suppressions: tuple[NewSuppression, ...]


class UnsubscribeRow(Answer):
    """An address that left a campaign, or all of a domain."""

    address: str
    domain: str
    campaign: str
    source: str


class UnsubscribeRows(Answer):
    """A page. The next one has `after` three times: address, domain and campaign of the last row."""

    unsubscribes: tuple[UnsubscribeRow, ...]


class NewUnsubscribe(RequestBody):
    """An address to unsubscribe, with the keys that a row of the list has."""

    address: str
    domain: str | None = None
    campaign: str | None = Field(default=None, description="Absent: all campaigns of the domain")
    source: Literal["", "operator", "import"] | None = Field(
        default=None, description="Absent: operator. What readers do themselves is not claimed here"
    )
    queue_id: str | None = None
    created_at: str | None = Field(default=None, description="RFC 3339; absent: now")
    excludes_from: str | None = Field(default=None, description="Of an exported row: ignored")


class NewUnsubscribes(RequestBody):
    """Addresses to unsubscribe. If one is not valid, none is added."""

    unsubscribes: tuple[NewUnsubscribe, ...]


class SuppressionRemoval(RequestBody):
    """Addresses to take off the list of a domain or identity; without a domain off that of all mail."""

    addresses: tuple[str, ...]
    domain: str = ""


class UnsubscribeRemoval(RequestBody):
    """Addresses to take off; without domain or campaign off the lists of all of them."""

    addresses: tuple[str, ...]
    domain: str | None = None
    campaign: str | None = None


class DomainRow(Answer):
    """A sending domain with the result of its last check."""

    domain: str
    state: str
    verified: bool


class DomainRows(Answer):
    """The sending domains."""

    domains: tuple[DomainRow, ...]


class RecordRow(Answer):
    """A DNS record to publish."""

    name: str
    kind: str
    value: str
    zone_line: str
    status: str = Field(description="ok, warning or wrong at the last check; empty: DNS did not answer yet")


class RecordRows(Answer):
    """The DNS records that a domain needs."""

    domain: str
    records: tuple[RecordRow, ...]


class DkimKeys(Answer):
    """The DKIM keys of a domain."""

    keys: tuple[Mapping[str, Any], ...]


class KeyRotation(RequestBody):
    """The kind of the next key."""

    algorithm: Literal["rsa", "ed25519"]
    bits: int = Field(default=2048, strict=True, ge=1024, le=4096, description="Of an RSA key")


class NextKey(Answer):
    """The next key, and the DNS record to publish."""

    selector: str
    name: str
    record: str
    zone_line: str


class IdentityRow(Answer):
    """An identity with its limits, their use, its pause and its tests."""

    address: str
    verified: bool


class IdentityRows(Answer):
    """The identities, and other addresses that were tested."""

    identities: tuple[IdentityRow, ...]


class TestRecipients(RequestBody):
    """Where a test sends its mail."""

    to: tuple[str, ...] = ()


class VerificationCode(RequestBody):
    """The code in the mail of a verification."""

    code: str = Field(pattern=rf"^[0-9]{{{DIGITS}}}$")


class PauseReason(RequestBody):
    """Why an identity is paused."""

    reason: str = Field(default="", max_length=MAX_REASON)


class JsonAnswer(Answer):
    """The result of a step or a change."""


class ReportAnswer(Answer):
    """A report, as `relay report` with --json shows it."""


class LimitUse(Answer):
    """The use of the limits: identities, and for callers without restriction providers."""

    identities: tuple[Mapping[str, Any], ...]
    providers: tuple[Mapping[str, Any], ...]
