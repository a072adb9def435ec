"""The audit of a store that a test used: what was accepted is accounted for, whatever was killed meanwhile."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from relay.config import Settings
from relay.config.load import check
from relay.events.ports import StoreError
from relay.reports.ports import AuditStore
from relay.reports.run_audit import run_audit
from relay.reports.store_audit import StoreAudit
from relay.storage.open import open_audit


async def audited(store: AuditStore, retained_since: float = 0.0) -> StoreAudit:
    """Audit an open store."""

    async def rest() -> None:
        await asyncio.sleep(0)

    return await run_audit(store, retained_since, rest)


async def assert_balanced(store: AuditStore) -> None:
    """Assert that an open store has no leak."""
    found = await audited(store)
    assert found.is_balanced, (found.leaks[:20], found.total())


async def leaks_of(settings: Settings) -> list[str]:
    """Return the leaks of a relay's store, in words. A store that is away has none to show."""
    with suppress(StoreError):
        async with open_audit(settings) as store:
            found = await audited(store, time.time() - settings.queue.retention)
            unbalanced = [] if found.is_balanced else [f"unbalanced: {dict(found.total())}"]
            return [*map(str, found.leaks), *unbalanced]
    return []


async def assert_no_leaks(config: Path) -> None:
    """Assert that the store of the relay with that configuration file has no leak."""
    settings, _, _ = check(config, {})
    leaks = await leaks_of(settings) if settings is not None else []
    assert leaks == []
