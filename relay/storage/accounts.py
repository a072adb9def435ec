"""Accounts of people: SQL and its values."""

from collections.abc import Sequence

from relay.people.ports import Account
from relay.storage.database import Connection, Database

_COLUMNS = "address, code_mark, password_hash, totp, totp_step, logged_in_at, network"

_ALL = f"SELECT {_COLUMNS} FROM accounts ORDER BY address"  # noqa: S608  names only

_OF = f"SELECT {_COLUMNS} FROM accounts WHERE address = ?"  # noqa: S608  names only

_MAKE = f"INSERT INTO accounts ({_COLUMNS}) VALUES (?, '', '', '', 0, 0, '') ON CONFLICT (address) DO NOTHING"  # noqa: S608

_REPLACE = (
    "UPDATE accounts SET password_hash = ?, code_mark = ? WHERE address = ? AND password_hash = ? AND code_mark = ?"
)

_TOTP = "UPDATE accounts SET totp = ?, totp_step = ? WHERE address = ?"

_USE = (
    "UPDATE accounts SET totp_step = ?1, totp = CASE WHEN ?2 = '' THEN totp ELSE ?2 END "
    "WHERE address = ?3 AND totp_step < ?1"
)

_LOGIN = "UPDATE accounts SET logged_in_at = ?, network = ? WHERE address = ?"

_FORGET = "DELETE FROM accounts WHERE address = ?"


class AccountTable:
    """Implements AccountStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account(self, address: str) -> Account | None:
        """Return the account of a person, None if there is none yet."""
        return await self._database.read(lambda raw: account_of(raw, address))

    async def accounts(self) -> Sequence[Account]:
        """Return all accounts, by address."""
        return await self._database.read(lambda raw: [Account(*row) for row in raw.execute(_ALL).fetchall()])

    async def set_password(self, before: Account, password_hash: str, code_mark: str) -> bool:
        """Set a password in the place of the one before. False if that was changed meanwhile."""
        values = (password_hash, code_mark, before.address, before.password_hash, before.code_mark)

        # A transaction that fails may be run again after it was committed: its own password counts as written.
        def operation(raw: Connection) -> bool:
            raw.execute(_MAKE, (before.address,))
            if raw.execute(_REPLACE, values).rowcount:
                return True
            found = account_of(raw, before.address)
            return found is not None and found.password_hash == password_hash

        return await self._database.write(operation)

    async def set_totp(self, address: str, sealed: str, step: int) -> None:
        """Set the secret of an app, whose code of that step was used; "" removes it."""
        await self._change(_TOTP, address, sealed, step, address)

    async def use_totp(self, address: str, step: int, sealed: str = "") -> bool:
        """Use the code of a step. False if it or a later one was used before. `sealed` replaces the secret."""
        return await self._database.write(lambda raw: raw.execute(_USE, (step, sealed, address)).rowcount > 0)

    async def forget(self, address: str) -> None:
        """Delete the account of a person."""
        await self._database.write(lambda raw: raw.execute(_FORGET, (address,)).rowcount)

    async def note_login(self, address: str, now: float, network: str) -> None:
        """Note the last login."""
        await self._change(_LOGIN, address, now, network, address)

    async def _change(self, sql: str, address: str, *values: object) -> None:
        def operation(raw: Connection) -> None:
            raw.execute(_MAKE, (address,))
            raw.execute(sql, values)

        await self._database.write(operation)


def account_of(raw: Connection, address: str) -> Account | None:
    """Return the account of a person, None if there is none."""
    row = raw.execute(_OF, (address,)).fetchone()
    return None if row is None else Account(*row)
