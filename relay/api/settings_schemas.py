"""Schemas of the routes of settings, as models. The settings themselves are the sections of the configuration."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from relay.api.management_schemas import Answer, RequestBody


class UnusedAddress(Answer):
    """An address that no identity has."""

    address: str


class _Settings(Answer):
    """A table of the configuration. `settings` has the keys that it sets; the others have their defaults."""

    settings: Mapping[str, Any]
    version: str = Field(description="For `If-Match`; the header field ETag has it too")
    changeable: bool = Field(description="False for one that stands in a file of the operator: it is changed there")


class IdentitySettings(_Settings):
    """The settings of an identity."""

    address: str


class SavedIdentity(IdentitySettings):
    """They are in force. `created` is false for an identity that was there before."""

    created: bool


class RemovedIdentity(Answer):
    """It is removed. The records of its mail are kept."""

    address: str
    removed: bool
    opened: tuple[str, ...] = Field(
        description="Credentials that no other identity names: they may send as each identity that is open to all"
    )


class DomainSettings(_Settings):
    """The settings of a sending domain."""

    domain: str


class SavedDomain(DomainSettings):
    """They are in force. `created` is false for a domain that was there before."""

    created: bool


class CredentialKey(Answer):
    """A key of a credential, by the fingerprint of its hash."""

    credential: str
    key: str
    used_at: str | None = Field(description="Last use, to a minute")
    revoked_at: str | None


class CredentialKeys(Answer):
    """Keys of credentials. A restricted credential has its own, and those whose `domains` are all its own."""

    keys: tuple[CredentialKey, ...]


class KeyRevocation(RequestBody):
    """What to revoke: at once, on all nodes. A repetition changes nothing."""

    credential: str = Field(min_length=1)
    key: str = Field(default="", description="Absent: all keys of the credential")
