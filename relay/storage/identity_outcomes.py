"""Outcomes of the mail of identities, by hour: SQL and its values."""

from collections.abc import Callable, Mapping

from relay.limits.outcome_rates import OutcomeCounts
from relay.storage.database import Connection, Database

_HOUR = 3600.0

_ADD = (
    "INSERT INTO identity_outcomes (identity, hour, sent, bounced, complaints) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (identity, hour) DO UPDATE SET sent = identity_outcomes.sent + excluded.sent, "
    "bounced = identity_outcomes.bounced + excluded.bounced, "
    "complaints = identity_outcomes.complaints + excluded.complaints"
)

_FORGET_OLD = "DELETE FROM identity_outcomes WHERE identity = ? AND hour < ?"

_SUM = (
    "SELECT CAST(sum(sent) AS BIGINT), CAST(sum(bounced) AS BIGINT), CAST(sum(complaints) AS BIGINT) "
    "FROM identity_outcomes WHERE identity = ? AND hour >= ?"
)

_FORGET = "DELETE FROM identity_outcomes WHERE identity = ?"


class OutcomeTable:
    """Implements OutcomeStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, counts: Mapping[str, OutcomeCounts], now: float, window: float) -> Mapping[str, OutcomeCounts]:
        """Add the counts to those of the present hour; return the sums over the window, by identity."""
        return await self._database.write(_add(counts, int(now // _HOUR), int((now - window) // _HOUR)))

    async def forget(self, identity: str) -> None:
        """Delete the counts of an identity."""
        await self._database.write(lambda raw: raw.execute(_FORGET, (identity,)).rowcount)


def _add(
    counts: Mapping[str, OutcomeCounts], hour: int, first: int
) -> Callable[[Connection], Mapping[str, OutcomeCounts]]:
    def operation(raw: Connection) -> Mapping[str, OutcomeCounts]:
        # In one order, so that two nodes that add to the same rows do not wait for each other in a circle.
        ordered = sorted(counts.items())
        raw.executemany(_FORGET_OLD, [(identity, first) for identity, _ in ordered])
        raw.executemany(_ADD, [(identity, hour, one.sent, one.bounced, one.complaints) for identity, one in ordered])
        return {identity: OutcomeCounts(*raw.execute(_SUM, (identity, first)).fetchone()) for identity, _ in ordered}

    return operation
