"""A submission handler over a real store."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from relay.config.settings import Settings
from relay.events.event import Event
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.pause import Pause
from relay.queue.ports import EntryQuery
from relay.storage.sqlite.store import SqliteStore
from relay.submission.accept import SubmissionHandler
from relay.suppression.exclusion import Exclusion

NOW = 1_800_000_000.0

SESSION = Session("submission", "submission", "192.0.2.7", "app.test", extended=True)

CONTENT = b"From: App <app@acme.test>\r\nSubject: hello\r\n\r\nHello \xff\r\n"

LIMITED = {"identities": {"app@acme.test": {"hourly_limit": 2, "daily_limit": 3}}}

EVERY = (State.WAITING, State.HELD, State.ACTIVE, State.DELIVERED, State.BOUNCED, State.DROPPED)


class Harness:
    """A submission handler with its dependencies."""

    def __init__(self, store: SqliteStore, **sections: Any) -> None:
        self.store = store
        self.now = NOW
        self.events: list[Event] = []
        self.wakes = 0
        self.proven: set[str] = set()
        self.pauses: dict[str, Pause] = {}
        self.serial = count(1)
        self.settings = Settings.model_validate({"server": {"hostname": "relay.test"}, **sections})
        self.handler = SubmissionHandler(
            settings=lambda: self.settings,
            enqueue=self.enqueue,
            limits=store.limits,
            exclusion=Exclusion(store.suppressions, store.unsubscribes),
            clock=lambda: self.now,
            new_id=lambda now: f"Q{next(self.serial):013}",
            publish=self.events.extend,
            is_proven=lambda address: address in self.proven,
            identity_pause=self.pauses.get,
        )

    async def enqueue(self, accepted: NewMessage) -> None:
        await self.store.queue.enqueue(accepted)
        self.wakes += 1

    async def take(
        self, *recipients: str, content: bytes = CONTENT, session: Session = SESSION, **envelope: Any
    ) -> Reply:
        to = tuple(Recipient(one) for one in recipients or ("u@rcpt.test",))
        return await self.handler.accept_message(
            Transaction(session, Envelope(**{"reverse_path": "app@acme.test", "recipients": to, **envelope}), content)
        )

    async def stored(self) -> list[tuple[Message, Entry]]:
        return list(await self.store.queue.entries(EntryQuery(states=EVERY)))

    async def added(self, **take: Any) -> str:
        """Return the fields put in front of the message that is taken."""
        assert (await self.take(**take)).code == 250
        return (await self.stored())[-1][0].policy.added_fields.decode()


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    opened = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    yield opened
    await opened.close()
