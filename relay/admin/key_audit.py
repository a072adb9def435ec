"""Records in the audit what applications change by their keys, as the console does for people."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.people.audit_trail import AuditTrail


@dataclass(frozen=True, slots=True)
class RequestingKey:
    """The key that a request comes from."""

    audit: AuditTrail
    credential: str
    client: str
    """IP address."""
    domains: Sequence[str] | None = None
    """Its domains, none for a key that is restricted to identities; None if it is not restricted."""


REQUESTING_KEY = web.RequestKey("requesting_key", RequestingKey)
"""Absent on the admin socket: a user of the machine may do everything, and has no name there."""


async def audit_change(request: web.Request, action: str, subject: str, *, before: str = "", after: str = "") -> None:
    """Record a change that a key made. Raises StoreError; the log line is written all the same."""
    key = request.get(REQUESTING_KEY)
    if key is not None:
        await key.audit.note(
            action,
            person=f"key {key.credential}",
            client=key.client,
            subject=subject,
            before=before,
            after=after,
        )


def subject_of_several(found: Sequence[str], noun: str = "address", plural: str = "addresses") -> str:
    """Return the subject of a change of several: one by its name, others by their number and the first of them."""
    if len(found) < 2:
        return found[0] if found else f"no {noun}"
    return f"{len(found)} {plural}: {' '.join(found[:10])}{' …' if len(found) > 10 else ''}"
