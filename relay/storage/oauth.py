"""Refresh tokens of accounts: SQL and its values."""

from collections.abc import Sequence

from relay.oauth.ports import StoredToken
from relay.storage.database import Connection, Database

_COLUMNS = "name, sealed, version, changed_at"
"""`changed_at` is the time of the login."""

_ALL = f"SELECT {_COLUMNS} FROM oauth_tokens ORDER BY name"  # noqa: S608  names only

_OF = f"SELECT {_COLUMNS} FROM oauth_tokens WHERE name = ?"  # noqa: S608  names only

_LEASE = (
    "UPDATE oauth_tokens SET holder = ?, reserved_until = ? "  # noqa: S608  names only
    f"WHERE name = ? AND (holder = ? OR reserved_until <= ? OR reserved_until > ?) RETURNING {_COLUMNS}"
)

_LATEST = 900.0
"""Seconds after the end that a node asks for, from which an earlier reservation is of a clock that was set back."""

_ROTATE = (
    "UPDATE oauth_tokens SET sealed = ?, version = version + 1, holder = '', reserved_until = 0 "
    "WHERE name = ? AND version = ? AND sealed = ?"
)
"""The version begins anew with a login after a logout. No two sealed texts are equal."""

_RELEASE = "UPDATE oauth_tokens SET holder = '', reserved_until = 0 WHERE name = ? AND holder = ?"

_PUT = (
    "INSERT INTO oauth_tokens (name, sealed, version, changed_at, holder, reserved_until) VALUES (?, ?, 1, ?, '', 0) "
    "ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, version = oauth_tokens.version + 1, "
    "changed_at = excluded.changed_at, holder = '', reserved_until = 0"
)

_DELETE = "DELETE FROM oauth_tokens WHERE name = ?"


class OAuthTokenTable:
    """Implements RefreshTokenStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tokens(self) -> Sequence[StoredToken]:
        """Return all tokens, by name."""
        return await self._database.read(lambda raw: [StoredToken(*row) for row in raw.execute(_ALL).fetchall()])

    async def find(self, name: str) -> StoredToken | None:
        """Return the token of an account, None if there is none."""
        return await self._database.read(lambda raw: _one(raw.execute(_OF, (name,)).fetchone()))

    async def lease(self, name: str, holder: str, now: float, until: float) -> StoredToken | None:
        """Reserve the token for one node, and return it; None if there is none or another node has it reserved."""
        return await self._database.write(
            lambda raw: _one(raw.execute(_LEASE, (holder, until, name, holder, now, until + _LATEST)).fetchone())
        )

    async def rotate(self, taken: StoredToken, sealed: str) -> bool:
        """Put a new token in the place of the one that was taken, and end its reservation.

        Return False if the token was changed since: then nothing is written.
        """

        # A transaction that fails may be run again after it was committed: its own token counts as written.
        def operation(raw: Connection) -> bool:
            if raw.execute(_ROTATE, (sealed, taken.name, taken.version, taken.sealed)).rowcount:
                return True
            found = _one(raw.execute(_OF, (taken.name,)).fetchone())
            return found is not None and found.sealed == sealed

        return await self._database.write(operation)

    async def release(self, name: str, holder: str) -> None:
        """End the reservation of a node."""
        await self._run(_RELEASE, name, holder)

    async def put(self, name: str, sealed: str, now: float) -> None:
        """Store the token of a login, in the place of any other."""
        await self._run(_PUT, name, sealed, now)

    async def delete(self, name: str) -> bool:
        """Delete the token of an account; return whether there was one."""
        return await self._database.write(lambda raw: raw.execute(_DELETE, (name,)).rowcount > 0)

    async def _run(self, sql: str, *parameters: object) -> None:
        def operation(raw: Connection) -> None:
            raw.execute(sql, parameters)

        await self._database.write(operation)


def _one(row: tuple[str, str, int, float] | None) -> StoredToken | None:
    return None if row is None else StoredToken(*row)
