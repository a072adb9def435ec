"""Keys of credentials: SQL and its values."""

from collections.abc import Sequence

from relay.storage.database import Connection, Database
from relay.submission.ports import KeyUse

_ALL = "SELECT key, credential, used_at, revoked_at FROM credential_keys ORDER BY credential, key"

_PUT = (
    "INSERT INTO credential_keys (key, credential, used_at, revoked_at) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET credential = excluded.credential, "
    "used_at = CASE WHEN excluded.used_at > credential_keys.used_at "
    "THEN excluded.used_at ELSE credential_keys.used_at END, "
    "revoked_at = CASE WHEN credential_keys.revoked_at > 0 "
    "THEN credential_keys.revoked_at ELSE excluded.revoked_at END"
)


class CredentialKeyTable:
    """Implements CredentialKeyStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keys(self) -> Sequence[KeyUse]:
        """Return all keys that were used or revoked."""
        return await self._database.read(lambda raw: [KeyUse(*row) for row in raw.execute(_ALL).fetchall()])

    async def note_uses(self, uses: Sequence[KeyUse]) -> None:
        """Write the last use of each key; the latest is kept."""
        await self._put(uses)

    async def revoke(self, keys: Sequence[KeyUse]) -> None:
        """Write the revocation of each key; the first is kept."""
        await self._put(keys)

    async def _put(self, keys: Sequence[KeyUse]) -> None:
        def operation(raw: Connection) -> None:
            for one in keys:
                raw.execute(_PUT, (one.key, one.credential, one.used_at, one.revoked_at))

        await self._database.write(operation)
