"""Evidence that proves nothing: recorded for the operator, and deleted after the retention time."""

from collections.abc import Callable, Sequence
from typing import Any

from relay.mail.canonical_address import canonical
from relay.storage.database import Connection
from relay.storage.message_queries import equals
from relay.storage.rows import Row, text
from relay.suppression.model import Evidence, Suppression, Unproven
from relay.suppression.ports import SuppressionQuery

_COLUMNS = "address, domain, reason, rule, reply, queue_id, created_at, provenance, why, times"

_RECORD = (
    f"INSERT INTO unproven_evidence ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1) "  # noqa: S608  names only
    "ON CONFLICT (address, domain, reason) DO UPDATE SET rule = excluded.rule, reply = excluded.reply, "
    "queue_id = excluded.queue_id, created_at = excluded.created_at, provenance = excluded.provenance, "
    "why = excluded.why, times = unproven_evidence.times + 1"
)
"""One row for each recipient, sender and reason, so that strangers can add a bounded number."""


def record(raw: Connection, evidence: Evidence) -> None:
    """Record one piece of evidence, or count it with earlier ones of its kind."""
    found = evidence.suppression
    raw.execute(
        _RECORD,
        (
            canonical(found.address),
            found.domain,
            found.reason,
            found.rule,
            text(found.reply),
            found.queue_id,
            found.created_at,
            found.provenance,
            text(evidence.unproven),
        ),
    )


def find(query: SuppressionQuery) -> Callable[[Connection], list[Unproven]]:
    """Return the evidence that matches, in order of address and domain. A page has all reasons of its last address."""
    parts: list[str] = []
    values: list[str] = []
    for column, value in (
        ("address", canonical(query.address) if query.address else ""),
        ("domain", query.domain),
        ("reason", query.reason),
    ):
        if value:
            parts.append(equals(column, [value]))
            values.append(value)
    page, rest = (_select([place, *parts]) for place in ("(address, domain) > (?, ?)", "(address, domain) = (?, ?)"))

    def operation(raw: Connection) -> list[Unproven]:
        found = raw.execute(f"{page} LIMIT ?", (*query.after, *values, query.limit)).fetchall()
        if len(found) == query.limit:
            last = found[-1][:2]
            found = [row for row in found if tuple(row[:2]) != tuple(last)]
            found += raw.execute(rest, (*last, *values)).fetchall()
        return [_of(row) for row in found]

    return operation


def _select(conditions: Sequence[str]) -> str:
    where = " AND ".join(conditions)
    return f"SELECT {_COLUMNS} FROM unproven_evidence WHERE {where} ORDER BY address, domain, reason"  # noqa: S608


def forget_before(raw: Connection, before: float) -> None:
    """Delete evidence from before that time."""
    raw.execute("DELETE FROM unproven_evidence WHERE created_at < ?", (before,))


def _of(row: Row) -> Unproven:
    address, domain, reason, rule, reply, queue_id, at, provenance, why, times = row
    kept: dict[str, Any] = {"provenance": provenance}
    return Unproven(Suppression(address, domain, reason, rule, reply, queue_id, at, **kept), why, times)
