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
