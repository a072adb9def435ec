"""The audit trail: what people and keys changed, before and after, in the store and in the log."""

from collections.abc import Callable
from dataclasses import dataclass

from relay.clock import Clock
from relay.log import Emit
from relay.people.ports import Change, ChangeQuery, ChangeStore

MAX_TEXT = 500
"""Characters of a value in the audit trail, at most."""


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """Records changes. Callers never give secrets: "changed" stands for them."""

    store: ChangeStore
    log: Emit
    clock: Clock
    new_id: Callable[[], str]

    async def note(
        self, action: str, *, person: str, client: str, subject: str = "", before: str = "", after: str = ""
    ) -> None:
        """Record a change. Raises StoreError; the log line is written all the same."""
        texts = [_cut(one) for one in (subject, before, after)]
        self.log(
            "console.changed",
            person=person,
            client=client,
            action=action,
            subject=texts[0],
            before=texts[1],
            after=texts[2],
        )
        change = Change(self.new_id(), self.clock(), person, action, texts[0], texts[1], texts[2], client)
        await self.store.record([change])

    async def last(self, action: str, subject: str) -> Change | None:
        """Return the last change of a subject by an action, or by any that begins so, such as "queue"."""
        return next(iter(await self.store.changes(ChangeQuery(action=action, subject=subject, limit=1))), None)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
