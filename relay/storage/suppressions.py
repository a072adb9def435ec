"""The suppression list: SQL and its values. Writes run inside the writer's transaction."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from relay.mail.canonical_address import canonical, keys_of
from relay.queue.entry import Entry
from relay.storage import probations, unproven_evidence
from relay.storage.database import Connection, Database
from relay.storage.message_queries import equals
from relay.storage.rows import Row, text
from relay.suppression.model import MANUAL, Evidence, Suppression, Unproven, after_bounce
from relay.suppression.ports import SuppressionQuery

MEMORY = 30 * 86400.0
"""Seconds for which a soft bounce counts."""

_AT_ONCE = 500
"""Addresses of one query: SQLite allows at least 999 parameters."""

_COLUMNS = "address, domain, reason, rule, reply, queue_id, created_at, expires_at, probation, provenance, proof"

_PUT = (
    f"INSERT INTO suppressions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?) "  # noqa: S608  names only
    "ON CONFLICT (address, domain) DO UPDATE SET reason = excluded.reason, rule = excluded.rule, "
    "reply = excluded.reply, queue_id = excluded.queue_id, created_at = excluded.created_at, "
    "expires_at = excluded.expires_at, probation = '', probation_at = 0, lifted = 0, "
    "provenance = excluded.provenance, proof = excluded.proof"
)

_LISTED = f"SELECT {_COLUMNS} FROM suppressions WHERE address = ? AND domain = ?"  # noqa: S608  names only

_TESTED = f"SELECT {_COLUMNS} FROM suppressions WHERE address = ? AND probation = ? LIMIT 1"  # noqa: S608  names only

_COUNT_UP = (
    "INSERT INTO soft_bounces (address, domain, queue_id, at, late) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

_FORGET_OLD = "DELETE FROM soft_bounces WHERE address = ? AND domain = ? AND at < ?"

_COUNT = "SELECT count(*) FROM soft_bounces WHERE address = ? AND domain = ?"

_FORGET = "DELETE FROM soft_bounces WHERE address = ? AND domain = ?"

_REFUTE = "DELETE FROM soft_bounces WHERE address = ? AND NOT late"

_ARE_THERE = "SELECT EXISTS (SELECT 1 FROM soft_bounces), EXISTS (SELECT 1 FROM suppressions)"
"""Whether there are soft bounces, and suppressions. Often there are none, and a statement a recipient is saved."""

_TAKE_OFF = f"DELETE FROM suppressions WHERE address = ? AND domain = ? RETURNING {_COLUMNS}, lifted"  # noqa: S608  names only


class SuppressionTable:
    """Implements SuppressionStore.

    After `load` an empty list is not queried. The flag may miss that the list is empty, but never claims it wrongly.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._empty = False

    async def load(self) -> None:
        """Check whether the list is empty: once, before any write, in the only process that writes."""
        self._empty = await self._database.read(is_empty)

    def expect(self, evidence: Iterable[Evidence]) -> None:
        """Query the list from now on if there is evidence, which is about to be written."""
        self._empty = self._empty and not any(True for _ in evidence)

    async def suppressed(
        self, addresses: Sequence[str], domain: str, now: float, identity: str = ""
    ) -> Mapping[str, Suppression]:
        """Return the suppressions of addresses for that sending domain and identity, in force or on probation."""
        if self._empty:
            return {}
        return await self._database.read(find_suppressed(addresses, (domain, identity), now))

    async def unproven(self, query: SuppressionQuery) -> Sequence[Unproven]:
        """Return unproven evidence, in order of address and domain."""
        return await self._database.read(unproven_evidence.find(query))

    async def begin_probation(
        self, addresses: Sequence[str], domain: str, queue_id: str, now: float, identity: str = ""
    ) -> Mapping[str, str]:
        """Make the message the one that tests these addresses; return those that another message tests."""
        stored = {key: canonical(address) for address in addresses for key in keys_of(address)}
        return await self._database.write(probations.begin(stored, (domain, identity), queue_id, now))

    async def find(self, query: SuppressionQuery) -> Sequence[Suppression]:
        """Return the suppressions that match, in order of address and domain."""
        return await self._database.read(find(query))

    async def add(self, suppressing: Sequence[Suppression]) -> None:
        """Add addresses to the list, replacing rows of the same address and domain."""
        self._empty = self._empty and not suppressing
        await self._database.write(put(suppressing))

    async def remove(self, addresses: Sequence[str], domain: str) -> Sequence[Suppression]:
        """Remove addresses from the list; return the removed rows."""
        return await self._database.write(take_off(addresses, domain))

    async def limit(self, lengths: Mapping[str, float]) -> None:
        """Give rows without an end one, by their reason."""
        if lengths:
            await self._database.write(probations.limit(lengths))


def add_evidence(raw: Connection, evidence: Iterable[Evidence]) -> None:
    """Apply evidence: suppress at once, or count it and suppress at the threshold. Permanent rows do not change.

    A bounce of the message that tests the address renews its suppression, whatever the threshold, in the scope that the
    bounce proves.
    """
    for one in sorted(evidence, key=lambda each: (*_key(each.suppression), each.suppression.reason)):
        if one.unproven:
            unproven_evidence.record(raw, one)
            continue
        found = one.suppression
        key = _key(found)
        tested = raw.execute(_TESTED, (key[0], found.queue_id)).fetchone() if found.queue_id else None
        row = raw.execute(_LISTED, key).fetchone() or tested
        listed = _of(row) if row else None
        if one.threshold > 1 and tested is None:
            raw.execute(_FORGET_OLD, (*key, found.created_at - MEMORY))
            raw.execute(_COUNT_UP, (*key, found.queue_id, found.created_at, one.late))
            if raw.execute(_COUNT, key).fetchone()[0] < one.threshold:
                continue
        kept = after_bounce(listed, found) if listed else found
        if kept is not None:
            raw.execute(_PUT, _row(kept))
        raw.execute(_FORGET, key)


def clear_evidence(raw: Connection, delivered: Sequence[Entry]) -> None:
    """Delete the soft bounces counted against addresses that accepted a message, and lift what that tested."""
    if not delivered:
        return
    are_counted, are_listed = raw.execute(_ARE_THERE).fetchone()
    if are_counted:
        raw.executemany(_REFUTE, sorted((key,) for one in delivered for key in keys_of(one.recipient)))
    if are_listed:
        probations.lift(raw, delivered)


def _key(suppression: Suppression) -> tuple[str, str]:
    """Return the key of the row. Writes are in this order, so that two nodes do not wait for each other in a circle."""
    return canonical(suppression.address), suppression.domain


def put(suppressions: Sequence[Suppression]) -> Callable[[Connection], None]:
    """Add addresses to the list, replacing existing rows."""
    rows = [_row(one) for one in sorted(suppressions, key=_key)]

    def operation(raw: Connection) -> None:
        raw.executemany(_PUT, rows)

    return operation


def take_off(addresses: Sequence[str], domain: str) -> Callable[[Connection], list[Suppression]]:
    """Remove addresses from the list, with their soft bounce counts; return the removed rows."""

    def operation(raw: Connection) -> list[Suppression]:
        taken: list[Suppression] = []
        for key in sorted((name, domain) for address in addresses for name in keys_of(address)):
            taken += [_of(row[:-1]) for row in raw.execute(_TAKE_OFF, key).fetchall() if not row[-1]]
            raw.execute(_FORGET, key)
        return taken

    return operation


def forget_before(before: float) -> Callable[[Connection], None]:
    """Delete soft bounces, lifted suppressions and unproven evidence from before that time."""

    def operation(raw: Connection) -> None:
        raw.execute("DELETE FROM soft_bounces WHERE at < ?", (before,))
        raw.execute(probations.FORGET, (before,))
        unproven_evidence.forget_before(raw, before)

    return operation


def find(query: SuppressionQuery) -> Callable[[Connection], list[Suppression]]:
    """Return the suppressions that match, in order of address and domain."""
    parts, values = ["lifted = 0", "(address, domain) > (?, ?)"], [*query.after]
    if query.address:
        keys = keys_of(query.address)
        parts.append(equals("address", keys))
        values += keys
    for column, value in (("domain", query.domain), ("reason", query.reason)):
        if value:
            parts.append(f"{column} = ?")
            values.append(value)
    if query.domains:
        parts.append(f"({' OR '.join(('domain = ? OR domain LIKE ?',) * len(query.domains))})")
        values += [value for name in query.domains for value in (name, f"%@{name}")]
    where = " AND ".join(parts)
    sql = f"SELECT {_COLUMNS} FROM suppressions WHERE {where} ORDER BY address, domain LIMIT ?"  # noqa: S608

    def operation(raw: Connection) -> list[Suppression]:
        return [_of(row) for row in raw.execute(sql, [*values, query.limit])]

    return operation


def find_suppressed(
    addresses: Sequence[str], sender: tuple[str, str], now: float
) -> Callable[[Connection], Mapping[str, Suppression]]:
    """Return the suppressions for that sender (domain and identity), by canonical form.

    Of several that in force, else one on probation.
    """
    forms = {key: canonical(address) for address in addresses for key in keys_of(address)}
    keys = list(forms)

    def operation(raw: Connection) -> Mapping[str, Suppression]:
        rows: list[Suppression] = []
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            places = ", ".join("?" * len(some))
            sql = (
                f"SELECT {_COLUMNS} FROM suppressions WHERE address IN ({places}) "  # noqa: S608  places only
                f"AND domain IN ('', ?, ?) AND lifted = 0 "
                f"AND (expires_at = 0 OR expires_at > ? OR reason != '{MANUAL}')"
            )
            rows += [_of(row) for row in raw.execute(sql, (*some, *sender, now))]
        rows.sort(key=lambda one: one.state(now) == "suppressed")
        return {forms[one.address]: one for one in rows}

    return operation


def is_empty(raw: Connection) -> bool:
    """Whether the list has no rows."""
    return raw.execute("SELECT 1 FROM suppressions LIMIT 1").fetchone() is None


def _row(one: Suppression) -> Row:
    return (
        canonical(text(one.address)),
        one.domain,
        one.reason,
        one.rule,
        text(one.reply),
        one.queue_id,
        one.created_at,
        one.expires_at,
        one.provenance,
        text(one.proof),
    )


def _of(row: Row) -> Suppression:
    return Suppression(*row)
