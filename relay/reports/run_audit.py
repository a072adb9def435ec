"""Runs an audit over a store, step by step."""

from collections.abc import Awaitable, Callable

from relay.reports.ports import AuditStore
from relay.reports.store_audit import StoreAudit


async def run_audit(store: AuditStore, retained_since: float, rest: Callable[[], Awaitable[None]]) -> StoreAudit:
    """Compare all messages of the store. `rest` is awaited between two steps.

    Events from before `retained_since` (Unix time) may be deleted. Raises StoreError.
    """
    audit = StoreAudit(await store.complete_since(retained_since))
    after: str | None = ""
    while after is not None:
        messages, after = await store.step(after)
        audit.add(messages)
        await rest()
    return audit
