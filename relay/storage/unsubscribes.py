"""The unsubscribe list: SQL and its values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from relay.events.event import Event, Kind
from relay.mail.canonical_address import canonical, keys_of
from relay.storage.database import Connection, Database
from relay.storage.message_queries import equals
from relay.storage.rows import Row, text
from relay.suppression.ports import UnsubscribeQuery
from relay.suppression.unsubscribes import SOURCES, CampaignRecipient, Source, Unsubscribe

MAX_IN_MEMORY = 200_000
"""Addresses kept in memory; a longer list is queried in the database each time."""

_AT_ONCE = 500
"""Addresses of one query: SQLite allows at least 999 parameters."""

_COLUMNS = "address, domain, campaign, source, queue_id, created_at"

_PUT = f"INSERT INTO unsubscribes ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608  names only

_ADDRESSES = "SELECT DISTINCT address FROM unsubscribes LIMIT ?"

ABOUT = (
    "SELECT entries.recipient, messages.domain, messages.campaign FROM messages "
    "JOIN entries ON entries.queue_id = messages.queue_id WHERE messages.queue_id = ? AND entries.number = ?"
)


class UnsubscribeTable:
    """Implements UnsubscribeStore.

    After `load` the listed addresses are in memory too, and only those are queried in the database. Memory may hold
    more addresses than the list, never fewer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._addresses: set[str] | None = None

    async def load(self) -> None:
        """Read the addresses into memory: once, before any recording, in the only process that records."""
        rows = await self._database.read(lambda raw: raw.execute(_ADDRESSES, (MAX_IN_MEMORY + 1,)).fetchall())
        self._addresses = {row[0] for row in rows} if len(rows) <= MAX_IN_MEMORY else None

    def apply_events(self, connection: Connection, events: Iterable[Event]) -> list[Event]:
        """Add the recipients of unsubscribe events to the list; return all events, with data of their message rows.

        Call it in the transaction that records the events. `joined` is False for an event of an unknown message whose
        recipient is unknown too: it adds nothing to the list.
        """
        completed: list[Event] = []
        rows: list[Row] = []
        for event in events:
            if event.kind is not Kind.UNSUBSCRIBE:
                completed.append(event)
                continue
            about = connection.execute(ABOUT, (event.queue_id, event.number)).fetchone()
            named = _named(event, about or (event.address, event.data.get("domain"), event.data.get("campaign")))
            completed.append(named)
            if "joined" not in named.data:
                rows.append(_row(_unsubscribe_of(named)))

        if rows:
            self._put(connection, rows)
        return completed

    async def listed(self, addresses: Sequence[str]) -> Mapping[str, Sequence[Unsubscribe]]:
        """Return the unsubscribes of the listed ones of these addresses, the oldest first, by canonical form."""
        forms = {key: canonical(address) for address in addresses for key in keys_of(address)}
        if self._addresses is not None:
            forms = {key: form for key, form in forms.items() if key in self._addresses}
        if not forms:
            return {}
        return await self._database.read(lambda connection: _among(connection, forms))

    async def recipient(self, queue_id: str, number: int) -> CampaignRecipient | None:
        """Return that recipient of that message; None when message or recipient is unknown."""
        found = await self._database.read(lambda raw: raw.execute(ABOUT, (queue_id, number)).fetchone())
        return None if found is None else CampaignRecipient(*found)

    async def find(self, query: UnsubscribeQuery) -> Sequence[Unsubscribe]:
        """Return the unsubscribes that match, in order of address, domain and campaign."""
        sql, values = listing(query)
        return await self._database.read(lambda connection: [_of(row) for row in connection.execute(sql, values)])

    async def add(self, unsubscribing: Sequence[Unsubscribe]) -> None:
        """Add addresses to the list; existing rows do not change."""
        rows = [_row(one) for one in unsubscribing]
        await self._database.write(lambda connection: self._put(connection, rows))

    async def remove(self, addresses: Sequence[str], domain: str | None, campaign: str | None) -> Sequence[Unsubscribe]:
        """Remove addresses from the list of that domain and campaign (None: any); return the removed rows."""
        scope = [(column, value) for column, value in (("domain", domain), ("campaign", campaign)) if value is not None]
        where = "".join(f" AND {column} = ?" for column, _ in scope)
        values = [text(value) for _, value in scope]
        sql = f"DELETE FROM unsubscribes WHERE address = ?{where} RETURNING {_COLUMNS}"  # noqa: S608  names only

        def operation(connection: Connection) -> list[Unsubscribe]:
            keys = sorted(key for address in addresses for key in keys_of(address))
            found = (connection.execute(sql, (key, *values)).fetchall() for key in keys)
            return [_of(row) for rows in found for row in rows]

        return await self._database.write(operation)

    def _put(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Add to memory first, then write: a check between the two queries the database."""
        if self._addresses is not None:
            self._addresses.update(row[0] for row in rows)
            if len(self._addresses) > MAX_IN_MEMORY:
                self._addresses = None
        # In one order, so that two nodes that add the same addresses do not wait for each other in a circle.
        connection.executemany(_PUT, sorted(rows, key=lambda row: tuple(row[:3])))


def listing(query: UnsubscribeQuery) -> tuple[str, list[object]]:
    """Return the statement that reads a page of the list."""
    parts: list[str] = ["(address, domain, campaign) > (?, ?, ?)"]
    values: list[object] = [*query.after]
    if query.address:
        keys = keys_of(query.address)
        parts.append(equals("address", keys))
        values += keys

    if query.domains:
        parts.append(equals("domain", query.domains))
        values += query.domains

    filters = {
        "domain": query.domain,
        "campaign": text(query.campaign),
        "source": query.source,
    }
    for column, value in filters.items():
        if value:
            parts.append(f"{column} = ?")
            values.append(value)

    where = " AND ".join(parts)
    sql = f"SELECT {_COLUMNS} FROM unsubscribes WHERE {where} ORDER BY address, domain, campaign LIMIT ?"  # noqa: S608
    return sql, [*values, query.limit]


def looking_up(count: int) -> str:
    """Return the statement that queries `count` addresses."""
    places = ", ".join("?" * count)
    return f"SELECT {_COLUMNS} FROM unsubscribes WHERE address IN ({places}) ORDER BY created_at"  # noqa: S608  places only


def _among(connection: Connection, forms: Mapping[str, str]) -> Mapping[str, Sequence[Unsubscribe]]:
    """Return the rows of these keys by canonical form, the oldest first."""
    keys = list(forms)
    found: dict[str, list[Unsubscribe]] = {}
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        for row in connection.execute(looking_up(len(some)), some):
            found.setdefault(forms[row[0]], []).append(_of(row))
    return found


def _named(event: Event, about: Sequence[object]) -> Event:
    """Add recipient, domain and campaign to the event, or mark them as unknown."""
    address, domain, campaign = (str(value or "") for value in about)
    if not (address and domain):
        return replace(event, data={**event.data, "joined": False})
    return replace(event, address=address, data={**event.data, "domain": domain, "campaign": campaign})


def _unsubscribe_of(event: Event) -> Unsubscribe:
    by = str(event.data.get("by", ""))
    source: Source = by if by in SOURCES else "reply"
    data = event.data
    return Unsubscribe(event.address, str(data["domain"]), str(data["campaign"]), source, event.queue_id, event.at)


def _row(one: Unsubscribe) -> Row:
    return (canonical(text(one.address)), one.domain, text(one.campaign), one.source, one.queue_id, one.created_at)


def _of(row: Row) -> Unsubscribe:
    return Unsubscribe(*row)
