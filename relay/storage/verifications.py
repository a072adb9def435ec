"""Verifications and challenges: SQL and its values."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from relay.limits.quota import Quota, TooMany
from relay.storage.database import Connection, Database
from relay.storage.quotas import spend_all
from relay.verification.challenge import Challenge
from relay.verification.model import Decision, Verification

T = TypeVar("T")

_COLUMNS = "subject, step, state, at, detail, queue_id"

_SELECT = f"SELECT {_COLUMNS} FROM verifications"  # noqa: S608  names only

_PUT = (
    f"INSERT INTO verifications ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) "  # noqa: S608  names only
    "ON CONFLICT (subject, step) DO UPDATE SET state = excluded.state, at = excluded.at, detail = excluded.detail, "
    "queue_id = excluded.queue_id"
)

_ADD = f"INSERT INTO verifications ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608

_PROVEN = "SELECT subject FROM verifications WHERE step IN ('sender', 'dns') AND state = 'passed'"

_CHALLENGE = "identity, sent_to, salt, digest, queue_id, tries, sent, confirmed_at"

_BY_MAIL = f"SELECT {_CHALLENGE} FROM challenges WHERE queue_id = ?"  # noqa: S608  names only

_TAKE = f"UPDATE challenges SET tries = tries WHERE identity = ? RETURNING {_CHALLENGE}"  # noqa: S608  names only
"""Reads a row and locks it until the end of the transaction, so that two concurrent tries count as two."""

_PUT_CHALLENGE = (
    f"INSERT INTO challenges ({_CHALLENGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608  names only
    "ON CONFLICT (identity) DO UPDATE SET sent_to = excluded.sent_to, salt = excluded.salt, digest = excluded.digest, "
    "queue_id = excluded.queue_id, tries = excluded.tries, sent = excluded.sent, confirmed_at = excluded.confirmed_at"
)


class VerificationTable:
    """Implements `relay.verification.ports.VerificationStore` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, subject: str = "") -> Sequence[Verification]:
        """Return the steps of a subject, or of all subjects, in order of subject and step."""
        where, values = (" WHERE subject = ?", (subject,)) if subject else ("", ())
        sql = f"{_SELECT}{where} ORDER BY subject, step"
        return await self._database.read(lambda raw: [Verification(*row) for row in raw.execute(sql, values)])

    async def verify(self, verification: Verification) -> None:
        """Record the state of a step, replacing the previous one."""
        await self._database.write(lambda raw: raw.execute(_PUT, _row(verification)) and None)

    async def proven(self) -> frozenset[str]:
        """Return the identities with a confirmed address, and the domains verified by DNS."""
        return await self._database.read(lambda raw: frozenset(row[0] for row in raw.execute(_PROVEN)))

    async def challenge_by(self, queue_id: str) -> Challenge | None:
        """Return the challenge whose code that message carries."""
        return await self._database.read(lambda raw: _of(raw.execute(_BY_MAIL, (queue_id,)).fetchone()))

    async def decide(self, identity: str, decide: Callable[[Challenge | None], Decision[T]]) -> T:
        """Change the challenge of an identity and record the verification, in one transaction; return the result."""
        return await self._database.write(_decide(identity, decide))

    async def decide_within(
        self, quotas: Sequence[Quota], now: float, identity: str, decide: Callable[[Challenge | None], Decision[T]]
    ) -> T | TooMany:
        """Count a request in all quotas, then decide, in one transaction; TooMany if one of them is used up."""
        deciding = _decide(identity, decide)
        return await self._database.write(lambda raw: spend_all(raw, quotas, now) or deciding(raw))

    async def spend(self, quotas: Sequence[Quota], now: float) -> TooMany | None:
        """Count a request in all quotas; TooMany, and nothing counted, if one of them is used up."""
        return await self._database.write(lambda raw: spend_all(raw, quotas, now))

    async def add_copy(self, copy: Verification) -> bool:
        """Record the appearance of a test message, unless it is recorded already; return whether it was recorded."""
        return await self._database.write(lambda raw: bool(raw.execute(_ADD, _row(copy)).rowcount))

    async def forget_copies(self, before: float) -> None:
        """Delete the appearance of test messages that came back before that time."""
        sql = "DELETE FROM verifications WHERE step = 'copy' AND at < ?"
        await self._database.write(lambda raw: raw.execute(sql, (before,)) and None)


def _decide(identity: str, decide: Callable[[Challenge | None], Decision[T]]) -> Callable[[Connection], T]:
    def operation(raw: Connection) -> T:
        before = _of(raw.execute(_TAKE, (identity,)).fetchone())
        decided = decide(before)
        if decided.challenge is not None and decided.challenge != before:
            raw.execute(_PUT_CHALLENGE, _challenge_row(decided.challenge))
        for verification in decided.proves:
            raw.execute(_PUT, _row(verification))
        return decided.answer

    return operation


def _row(one: Verification) -> tuple[Any, ...]:
    detail = one.detail if one.detail.isascii() else one.detail.encode("utf-8", "replace").decode()
    return (one.subject, one.step, one.state, one.at, detail.replace("\0", ""), one.queue_id)


def _challenge_row(one: Challenge) -> tuple[Any, ...]:
    sent = json.dumps(one.sent)
    return (one.identity, one.sent_to, one.salt, one.digest, one.queue_id, one.tries, sent, one.confirmed_at)


def _of(row: Any) -> Challenge | None:
    if row is None:
        return None
    identity, sent_to, salt, digest, queue_id, tries, sent, confirmed_at = row
    return Challenge(identity, sent_to, salt, digest, queue_id, tuple(json.loads(sent)), tries, confirmed_at)
