"""Watched sending domains, and tracking hosts that answered before: SQL and its values."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from relay.domains.key_rotation import KeyState
from relay.domains.status import ConfiguredDomain, DomainStatus, FoundRecord, set_up
from relay.storage.database import Connection, Database

_COLUMNS = "domain, wanted, set_up_at, next_check_at, checked_at, health, health_since, statuses, keys, verified, found"

_SELECT = f"SELECT {_COLUMNS} FROM domain_watch"  # noqa: S608  names only

_PUT = (
    f"INSERT INTO domain_watch ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608  names only
    "ON CONFLICT (domain) DO UPDATE SET wanted = excluded.wanted, set_up_at = excluded.set_up_at, "
    "next_check_at = excluded.next_check_at, checked_at = excluded.checked_at, health = excluded.health, "
    "health_since = excluded.health_since, statuses = excluded.statuses, keys = excluded.keys, "
    "verified = excluded.verified, found = excluded.found"
)

_RECORD = (
    "UPDATE domain_watch SET set_up_at = ?, next_check_at = ?, checked_at = ?, health = ?, health_since = ?, "
    "statuses = ?, keys = ?, verified = ?, found = ? WHERE domain = ? AND wanted = ? RETURNING domain"
)

_CLAIM = (
    "UPDATE domain_watch SET next_check_at = ? WHERE domain = ? AND next_check_at <= ? "  # noqa: S608  names only
    f"RETURNING {_COLUMNS}"
)

_SOON = "UPDATE domain_watch SET next_check_at = ? WHERE domain = ? RETURNING domain"

_PUT_HOST = "INSERT INTO tracking_hosts (base_url, answered_at) VALUES (?, ?) ON CONFLICT (base_url) DO NOTHING"


class DomainWatchTable:
    """Implements `relay.domains.ports.DomainWatchStore` and `relay.tracker.canary.BaseUrlStore` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def watch_domains(self, domains: Sequence[ConfiguredDomain], now: float) -> Sequence[DomainStatus]:
        """Add these domains or update their configuration; return the status of each."""
        return await self._database.write(_watch(domains, now))

    async def watched_domains(self) -> Sequence[DomainStatus]:
        """Return all domains that were ever watched, by name."""
        return await self._database.read(lambda raw: [_of(row) for row in raw.execute(f"{_SELECT} ORDER BY domain")])

    async def claim_domains(self, domains: Sequence[str], now: float, until: float) -> Sequence[DomainStatus]:
        """Return the due domains, each to one caller only; none is due again before `until`."""
        due = await self._database.read(_due(now))
        wanted = [domain for domain in domains if domain in due]
        return await self._database.write(_claim(wanted, now, until)) if wanted else ()

    async def save_check(self, watched: DomainStatus) -> bool:
        """Save the result of a check; return False, without saving, when the wanted records have changed."""
        return await self._database.write(_record(watched))

    async def schedule_check(self, domain: str, now: float) -> bool:
        """Make a domain due; return whether it is watched."""
        return await self._database.write(lambda raw: raw.execute(_SOON, (now, domain)).fetchone() is not None)

    async def verified_domains(self) -> frozenset[str]:
        """Return the domains whose DNS publishes a signing key."""
        sql = "SELECT domain FROM domain_watch WHERE verified = 1"
        return await self._database.read(lambda raw: frozenset(row[0] for row in raw.execute(sql)))

    async def answering_hosts(self) -> frozenset[str]:
        """Return the base URLs at which the tracker ever answered."""
        sql = "SELECT base_url FROM tracking_hosts"
        return await self._database.read(lambda raw: frozenset(row[0] for row in raw.execute(sql)))

    async def host_answered(self, base_url: str, now: float) -> None:
        """Record that the tracker answers at this base URL."""
        await self._database.write(lambda raw: raw.execute(_PUT_HOST, (base_url, now)).rowcount)


def _watch(domains: Sequence[ConfiguredDomain], now: float) -> Callable[[Connection], list[DomainStatus]]:
    def operation(raw: Connection) -> list[DomainStatus]:
        known = {one.domain: one for one in map(_of, raw.execute(_SELECT).fetchall())}
        watched = [set_up(known.get(domain.domain), domain, now) for domain in domains]
        fresh = [_row(one) for one in watched if one != known.get(one.domain)]
        if fresh:
            raw.executemany(_PUT, fresh)
        return watched

    return operation


def _due(now: float) -> Callable[[Connection], Collection[str]]:
    sql = "SELECT domain FROM domain_watch WHERE next_check_at <= ?"
    return lambda raw: {row[0] for row in raw.execute(sql, (now,))}


def _claim(domains: Sequence[str], now: float, until: float) -> Callable[[Connection], list[DomainStatus]]:
    def operation(raw: Connection) -> list[DomainStatus]:
        rows = (raw.execute(_CLAIM, (until, domain, now)).fetchone() for domain in domains)
        return [_of(row) for row in rows if row is not None]

    return operation


def _record(watched: DomainStatus) -> Callable[[Connection], bool]:
    values = (*_row(watched)[2:], watched.domain, watched.wanted)
    return lambda raw: raw.execute(_RECORD, values).fetchone() is not None


def _row(one: DomainStatus) -> tuple[Any, ...]:
    return (
        one.domain,
        one.wanted,
        one.set_up_at,
        one.next_check_at,
        one.checked_at,
        one.health,
        one.health_since,
        json.dumps(one.statuses),
        json.dumps([asdict(key) for key in one.keys]),
        int(one.verified),
        json.dumps({label: asdict(found) for label, found in one.found.items()}),
    )


def _of(row: Any) -> DomainStatus:
    statuses: Mapping[str, Any] = json.loads(row[7])
    keys = tuple(KeyState(**key) for key in json.loads(row[8]))
    found = {label: FoundRecord(tuple(one["values"]), one["text"]) for label, one in json.loads(row[10]).items()}
    return DomainStatus(row[0], row[1], row[2], row[3], row[4], row[5], row[6], statuses, keys, found)
