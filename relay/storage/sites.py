"""Rates of sites: SQL and its values."""

from collections.abc import Mapping, Sequence

from relay.queue.site_rate import SavedRate, SiteRate
from relay.storage.database import Connection, Database
from relay.storage.rows import Row, text

_COLUMNS = "found, cut_at, connections, used, refusals, changed_at, not_before, is_estimate, blocked, why"

_ALL = f"SELECT site, {_COLUMNS} FROM sites"  # noqa: S608  names only

_PUT = (
    f"INSERT INTO sites (site, {_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) "  # noqa: S608
    "ON CONFLICT (site) DO UPDATE SET found = excluded.found, cut_at = excluded.cut_at, "
    "connections = excluded.connections, refusals = excluded.refusals, changed_at = excluded.changed_at, "
    "not_before = excluded.not_before, is_estimate = excluded.is_estimate, blocked = excluded.blocked, "
    "why = excluded.why, "
    "used = CASE WHEN sites.cut_at = excluded.cut_at THEN sites.used + ?12 ELSE excluded.used END "
    "WHERE sites.changed_at <= excluded.changed_at"
)

_DELETE = "DELETE FROM sites WHERE site = ?"

_SHORTEN = (
    "UPDATE sites SET cut_at = ?1, changed_at = ?1, not_before = CASE WHEN not_before > ?2 THEN ?2 ELSE not_before END "
    "WHERE changed_at > ?1 OR cut_at > ?1"
)

_MAX_WAIT = 900.0
"""Seconds to the next message of a site after a backward step of the clock, at most."""


class SiteRateTable:
    """Implements SiteStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rates(self) -> Mapping[str, SiteRate]:
        """Return all rates, by site or address."""
        rows = await self._database.read(lambda raw: raw.execute(_ALL).fetchall())
        return {row[0]: _rate(row[1:]) for row in rows}

    async def save(self, rates: Sequence[SavedRate]) -> None:
        """Write rates, except where the store has a later change. The use of all nodes since a cut adds up."""

        def operation(raw: Connection) -> None:
            for one in sorted(rates, key=lambda saved: saved.key):
                if one.rate is None:
                    raw.execute(_DELETE, (one.key,))
                else:
                    raw.execute(_PUT, (one.key, *_values(one.rate), one.use))

        await self._database.write(operation)


def _rate(row: Row) -> SiteRate:
    found, cut_at, connections, used, refusals, changed_at, not_before, is_estimate, is_blocked, why = row
    return SiteRate(
        found, cut_at, connections, used, refusals, changed_at, not_before, bool(is_estimate), bool(is_blocked), why
    )


def _values(rate: SiteRate) -> tuple[object, ...]:
    return (
        rate.found,
        rate.cut_at,
        rate.connections,
        rate.used,
        rate.refusals,
        rate.changed_at,
        rate.not_before,
        rate.is_estimate,
        rate.blocked,
        text(rate.why),
    )


def clock_set(raw: Connection, now: float) -> None:
    """Adapt times that lie ahead of a clock that was set back to `now`."""
    raw.execute(_SHORTEN, (now, now + _MAX_WAIT))
