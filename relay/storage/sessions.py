"""Sessions of people, their failed logins, and the plans they confirm: SQL and its values."""

import json
from collections.abc import Sequence

from relay.people.ports import Account, Plan, Session
from relay.storage.accounts import account_of
from relay.storage.database import Connection, Database
from relay.storage.json_columns import decode_list, decode_strings, encode_list
from relay.storage.rows import text

_COLUMNS = "token_hash, address, grant_mark, began_at, ends_at, client"

_PUT = f"INSERT INTO sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (token_hash) DO NOTHING"  # noqa: S608

_FIND = f"SELECT {_COLUMNS} FROM sessions WHERE token_hash = ? AND ends_at > ?"  # noqa: S608  names only

_ALL = f"SELECT {_COLUMNS} FROM sessions WHERE ends_at > ? ORDER BY began_at DESC, token_hash"  # noqa: S608  names only

_END = "DELETE FROM sessions WHERE token_hash = ?"

_END_ALL = "DELETE FROM sessions WHERE address = ? AND token_hash != ?"

FREE_FAILURES = 5
"""Failures after which each attempt has to wait."""

MAX_WAIT = 60.0
"""Seconds between two attempts, at most. They double from 1 on."""

MEMORY = 900.0
"""Seconds after which failures are forgotten."""

_NEXT_AT = (
    "CASE WHEN login_attempts.last_at < ?3 THEN 0 ELSE CASE login_attempts.failures + 1 "
    + " ".join(f"WHEN {FREE_FAILURES + power} THEN ?2 + {2**power}" for power in range(6))
    + f" ELSE CASE WHEN login_attempts.failures + 1 < {FREE_FAILURES} THEN 0 ELSE ?2 + {MAX_WAIT:.0f} END END END"
)
"""0 without a wait: attempts that are counted later may have begun earlier."""

_MAY_COME = f"(next_at <= ?2 OR next_at > ?2 + {MAX_WAIT:.0f})"
"""A later time is of a clock that was set back."""

_COUNT = (
    "INSERT INTO login_attempts (key, failures, last_at, next_at) VALUES (?1, 1, ?2, 0) "  # noqa: S608
    f"ON CONFLICT (key) DO UPDATE SET next_at = {_NEXT_AT}, "
    "failures = CASE WHEN login_attempts.last_at < ?3 THEN 1 ELSE login_attempts.failures + 1 END, last_at = ?2 "
    f"WHERE {_MAY_COME.replace('next_at', 'login_attempts.next_at')}"
)

_NEXT = "SELECT next_at FROM login_attempts WHERE key = ?"

_FORGET = "DELETE FROM login_attempts WHERE key = ?"

_KEEP_PLAN = (
    "INSERT INTO plans (id, token_hash, action, detail, keys, made_at) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO NOTHING"
)

_PLAN = (
    "SELECT id, token_hash, action, detail, keys, made_at FROM plans WHERE id = ? AND token_hash = ? AND made_at >= ?"
)

_TAKE_PLAN = "DELETE FROM plans WHERE id = ?"

PLAN_KEPT = 900.0
"""Seconds for which a plan can be confirmed."""

_PURGES = (
    ("DELETE FROM sessions WHERE ends_at <= ?", 0.0),
    ("DELETE FROM login_attempts WHERE last_at < ?", MEMORY),
    ("DELETE FROM plans WHERE made_at < ?", PLAN_KEPT),
)


class SessionTable:
    """Implements SessionStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, session: Session, former: str) -> None:
        """Store a session, and delete the one of the browser before, by the hash of its token."""
        one = session
        values = (one.token_hash, one.address, one.grant, one.began_at, one.ends_at, text(one.client))

        def operation(raw: Connection) -> None:
            raw.execute(_END, (former,))
            raw.execute(_PUT, values)

        await self._database.write(operation)

    async def find(self, token_hash: str, now: float) -> tuple[Session, Account | None] | None:
        """Return a session that has not ended, with the account of its person."""

        def operation(raw: Connection) -> tuple[Session, Account | None] | None:
            row = raw.execute(_FIND, (token_hash, now)).fetchone()
            if row is None:
                return None
            session = Session(*row)
            return session, account_of(raw, session.address)

        return await self._database.read(operation)

    async def end(self, token_hash: str) -> None:
        """End a session."""
        await self._database.write(lambda raw: raw.execute(_END, (token_hash,)).rowcount)

    async def end_all(self, address: str, but: str = "") -> int:
        """End the sessions of a person, but the one with that hash; return their number."""
        return await self._database.write(lambda raw: raw.execute(_END_ALL, (address, but)).rowcount)

    async def sessions(self, now: float) -> Sequence[Session]:
        """Return the sessions that have not ended, latest first."""
        return await self._database.read(lambda raw: [Session(*row) for row in raw.execute(_ALL, (now,)).fetchall()])

    async def attempt(self, keys: Sequence[str], now: float) -> float:
        """Count an attempt for each key as failed, and return 0; or return the seconds until the next one may come."""

        def operation(raw: Connection) -> float:
            waits = [_wait(raw, key, now) for key in keys]
            if any(waits):
                return max(waits)
            refused = [key for key in sorted(keys) if not raw.execute(_COUNT, (key, now, now - MEMORY)).rowcount]
            return max((_wait(raw, key, now) for key in refused), default=0.0)

        return await self._database.write(operation)

    async def succeeded(self, keys: Sequence[str]) -> None:
        """Forget the failures of these keys."""
        await self._database.write(lambda raw: raw.executemany(_FORGET, [(key,) for key in sorted(keys)]).rowcount)

    async def purge(self, now: float) -> None:
        """Delete ended sessions, old failures and old plans."""

        def operation(raw: Connection) -> None:
            for sql, age in _PURGES:
                raw.execute(sql, (now - age,))

        await self._database.write(operation)

    async def keep_plan(self, plan: Plan) -> None:
        """Store a plan."""
        detail, keys = json.dumps(dict(plan.detail)), encode_list(plan.keys)
        values = (plan.id, plan.token_hash, plan.action, text(detail), text(keys), plan.made_at)
        await self._database.write(lambda raw: raw.execute(_KEEP_PLAN, values).rowcount)

    async def plan(self, plan_id: str, token_hash: str, since: float) -> Plan | None:
        """Return the plan of a session that was made since that time, None if there is none."""
        return await self._database.read(lambda raw: _plan(raw, plan_id, token_hash, since))

    async def take_plan(self, plan_id: str, token_hash: str, since: float) -> Plan | None:
        """Return such a plan and delete it, so that it is carried out once."""

        def operation(raw: Connection) -> Plan | None:
            found = _plan(raw, plan_id, token_hash, since)
            return found if found and raw.execute(_TAKE_PLAN, (plan_id,)).rowcount else None

        return await self._database.write(operation)


def _wait(raw: Connection, key: str, now: float) -> float:
    """Return the seconds until a key may be tried again."""
    row = raw.execute(_NEXT, (key,)).fetchone()
    wait = row[0] - now if row else 0.0
    return wait if 0 < wait <= MAX_WAIT else 0.0


def _plan(raw: Connection, plan_id: str, token_hash: str, since: float) -> Plan | None:
    row = raw.execute(_PLAN, (plan_id, token_hash, since)).fetchone()
    if row is None:
        return None
    return Plan(row[0], row[1], row[2], decode_strings(row[3]), decode_list(row[4]), row[5])
