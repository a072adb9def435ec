"""Uses of quotas: SQL and its values. They survive restarts and are shared by all nodes."""

import json
from collections.abc import Sequence

from relay.limits.quota import Quota, TooMany, spend
from relay.limits.window import DAY
from relay.storage.database import Connection, Database

_READ = "SELECT times FROM quotas WHERE subject = ?"

_TAKE = (
    "INSERT INTO quotas (subject, times, last_at) VALUES (?, '[]', ?) "
    "ON CONFLICT (subject) DO UPDATE SET times = quotas.times RETURNING times"
)
"""Reads a row, creates it if missing, and locks it until the end of the transaction."""

_PUT = "UPDATE quotas SET times = ?, last_at = ? WHERE subject = ?"

_FORGET = "DELETE FROM quotas WHERE last_at < ?"


class QuotaTable:
    """Implements QuotaStore over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spend(self, quotas: Sequence[Quota], now: float) -> TooMany | None:
        """Count a use in all quotas; TooMany, and nothing counted, if one of them is used up."""
        return await self._database.write(lambda raw: spend_all(raw, quotas, now))


def spend_all(raw: Connection, quotas: Sequence[Quota], now: float) -> TooMany | None:
    """Count a use. Rows are locked in one order, so that transactions of other nodes wait and do not deadlock.

    A use that is refused leaves no row: the first reading takes no lock and makes none.
    """
    raw.execute(_FORGET, (now - DAY,))
    ordered = sorted(quotas, key=lambda one: one.subject)
    for quota in ordered:
        row = raw.execute(_READ, (quota.subject,)).fetchone()
        if row is not None and isinstance(spent := spend(json.loads(row[0]), quota, now), TooMany):
            return spent

    counted: list[tuple[str, float, str]] = []
    for quota in ordered:
        times = json.loads(raw.execute(_TAKE, (quota.subject, now)).fetchone()[0])
        spent = spend(times, quota, now)
        if isinstance(spent, TooMany):
            return spent
        counted.append((json.dumps(spent), now, quota.subject))
    raw.executemany(_PUT, counted)
    return None
