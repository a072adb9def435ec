"""What submission needs of the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeyUse:
    """The last use of a key of a credential, by the fingerprint of its hash. Times are Unix seconds, 0 for never."""

    key: str
    credential: str
    used_at: float = 0.0
    revoked_at: float = 0.0


class CredentialKeyStore(Protocol):
    """Keeps the last uses and the revocations of keys. All methods raise StoreError."""

    async def keys(self) -> Sequence[KeyUse]:
        """Return all keys that were used or revoked."""

    async def note_uses(self, uses: Sequence[KeyUse]) -> None:
        """Write the last use of each key; the latest is kept."""

    async def revoke(self, keys: Sequence[KeyUse]) -> None:
        """Write the revocation of each key; the first is kept."""


@dataclass(frozen=True, slots=True)
class FirstSubmission:
    """The first submission with an idempotency key: its message, and the digest of what was submitted."""

    queue_id: str
    request: str


class SubmissionStore(Protocol):
    """Reads the idempotency keys, which are written with their messages. All methods raise StoreError."""

    async def first(self, owner: str, key_hash: str, valid_since: float) -> FirstSubmission | None:
        """Return the first submission with a key that is valid, None if there is none."""

    async def purge(self, before: float) -> None:
        """Delete the keys from before that time, in Unix seconds."""
