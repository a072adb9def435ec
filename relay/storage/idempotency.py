"""Idempotency keys of submissions: SQL and its values."""

from collections.abc import Sequence

from relay.queue.message import NewMessage
from relay.queue.ports import RepeatedError
from relay.storage.database import Connection, Database
from relay.submission.ports import FirstSubmission

_FIND = "SELECT queue_id, request FROM idempotency WHERE owner = ? AND key_hash = ? AND at >= ?"

_PUT = (
    "INSERT INTO idempotency (owner, key_hash, request, queue_id, at) VALUES (?1, ?2, ?3, ?4, ?5) "
    "ON CONFLICT (owner, key_hash) DO UPDATE SET request = excluded.request, queue_id = excluded.queue_id, "
    "at = excluded.at WHERE idempotency.at < ?6"
)

_PURGE = "DELETE FROM idempotency WHERE at < ?"


def insert_keys(raw: Connection, accepted: Sequence[NewMessage]) -> None:
    """Write the keys of new messages. Raises RepeatedError if one is in use: nothing of the transaction may stay."""
    for one in accepted:
        key = one.key
        if key is None:
            continue
        message = one.message
        row = (key.owner, key.key_hash, key.request, message.queue_id, message.created_at, key.valid_since)
        if raw.executemany(_PUT, [row]).rowcount != 1:
            raise RepeatedError(f"{message.queue_id}: its idempotency key is in use")


class IdempotencyTable:
    """Implements SubmissionStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def first(self, owner: str, key_hash: str, valid_since: float) -> FirstSubmission | None:
        """Return the first submission with a key that is valid, None if there is none."""

        def operation(raw: Connection) -> FirstSubmission | None:
            row = raw.execute(_FIND, (owner, key_hash, valid_since)).fetchone()
            return FirstSubmission(*row) if row else None

        return await self._database.read(operation)

    async def purge(self, before: float) -> None:
        """Delete the keys from before that time."""
        await self._database.write(lambda raw: raw.execute(_PURGE, (before,)).rowcount)
