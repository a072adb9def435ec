"""A queue runner over a real store, with a scripted delivery, and a store that fails on demand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from relay.config.settings import Settings
from relay.content_file import ContentFile
from relay.delivery.delivery_journal import DeliveryJournalFile
from relay.domains.relay_keys import Keys
from relay.dsn.rules_file import built_in_rules
from relay.events.event import Event
from relay.events.ports import StoreError
from relay.limits.priority import Flow
from relay.mail.reply import Reply
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.context import QueueContext
from relay.queue.entry import Entry, State
from relay.queue.message import ClaimedBatch, Message, NewMessage
from relay.queue.outcome import Deferred, Delivered, Outcome, Refused
from relay.queue.ports import Delivery, DeliveryJob, EntryQuery
from relay.queue.runner import Runner
from relay.queue.site_rate import RateChange
from relay.queue.site_rates import SiteRates
from relay.render.inline_renderer import InlineRenderer
from relay.render.message_policy import MessagePolicy
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import new_key, parse_keyring
from relay.storage.sqlite.store import SqliteStore
from relay.suppression.exclusion import Exclusion
from tests.servers.waiting import PATIENCE
from tests.unit.flaky_store import FlakyStore

NOW = 1_800_000_000.0

OK = Delivered(Reply(250, "2.0.0", "ok"), "mx.x.test[192.0.2.1]:25")

BUSY = Deferred(Reply(451, "4.3.2", "busy"), "mx.x.test[192.0.2.1]:25")

NO = Refused(Reply(550, "5.1.1", "no such user"), "mx.x.test[192.0.2.1]:25")

DOWN = Deferred(Reply(451, "4.4.1", "nobody answers"), lane_down=True)

CONTENT = (
    b"From: app@acme.test\r\nSubject: hello\r\nContent-Type: text/html\r\n\r\n"
    b'<html><body><a href="https://shop.test/">x</a></body></html>\r\n'
)

TRACKING = Tracking(
    opens=True,
    clicks=True,
    base_url="https://t.test",
    text_links=False,
    skip_sensitive=True,
    skip_visible_urls=True,
    exclude_hosts=(),
    pixel="end",
)

RELAY = Flow()
"""Mail of the relay itself."""

EVERY = (State.WAITING, State.HELD, State.ACTIVE, State.DELIVERED, State.BOUNCED, State.DROPPED)


class ScriptedDelivery:
    """Renders each job as a real delivery does, keeps what it was given, and returns the scripted answers."""

    def __init__(self) -> None:
        self.answers: list[Outcome | BaseException] = []
        self.jobs: list[tuple[str, DeliveryJob, bytes]] = []
        self.files: list[int] = []
        """Descriptors of the contents that were in files."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.real: Delivery | None = None
        """The delivery that does the work instead of the script."""

    async def deliver(self, lane: str, job: DeliveryJob) -> Sequence[Outcome]:
        if self.real is not None:
            return await self.real.deliver(lane, job)
        rendered = await job.render(True)
        if isinstance(rendered.content, ContentFile):
            self.files.append(rendered.content.fd)
        whole = rendered.content if isinstance(rendered.content, bytes) else rendered.content.read()
        self.jobs.append((lane, job, whole))
        await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else OK
        if isinstance(answer, BaseException):
            raise answer
        return [answer] * len(job.entries)


class Harness:
    """A runner with its context and a store. `now` is its clock."""

    def __init__(self, store: SqliteStore, folder: Path, settings: Settings, renderer: Any = None) -> None:
        self.now = NOW
        self.clock_set_by = 0.0
        self.store = store
        self.flaky_store = FlakyStore(store)
        self.delivery = ScriptedDelivery()
        self.journal, self.journal_records = DeliveryJournalFile.open(
            folder / "deliveries.journal", self.journal_failing
        )
        self.events: list[Event] = []
        self.raised: list[tuple[str, str]] = []
        self.plain: list[tuple[str, int]] = []
        self.store_errors: list[str] = []
        self.steps: list[float] = []
        self.site_changes: list[RateChange] = []
        self.proof: bool | Exception = False
        self.asked_to_prove: list[str] = []
        serial = count()
        keys = Keys(parse_keyring([new_key(bytes(range(32)))]))
        policy = BouncePolicy(built_in_rules, 3)
        self.context = QueueContext(
            settings=lambda: settings,
            bounce_policy=lambda: policy,
            store=self.flaky_store,
            entries=store.queue,
            pauses=store.pauses,
            sites=store.sites,
            rates=SiteRates(),
            provider_digest=lambda name: repr(settings.provider(name)),
            nodes=store.nodes,
            limits=self.flaky_store,
            exclusion=Exclusion(store.suppressions, store.unsubscribes),
            journal=self.journal,
            delivery=self.delivery,
            renderer=renderer or InlineRenderer(keys),
            clock=lambda: self.now,
            steady=lambda: self.now - self.clock_set_by,
            jitter=lambda: 0.0,
            new_id=lambda now: f"0000000000R{next(serial):03}",
            publish=self.events.extend,
            watch=self,
            prove_sender=self.prove_sender,
        )
        self.runner = Runner(self.context, asyncio.Event(), folder)

    async def prove_sender(self, claimed: ClaimedBatch) -> bool:
        self.asked_to_prove.append(claimed.message.reverse_path)
        if isinstance(self.proof, Exception):
            raise self.proof
        return self.proof

    def unexpected(self, queue_id: str, error: BaseException) -> None:
        self.raised.append((queue_id, repr(error)))

    def alert(self, lane: str, category: str, reply: str, guidance: str) -> None:
        self.raised.append((lane, category))

    def clock_set(self, step: float) -> None:
        self.steps.append(step)

    def journal_failing(self, error: OSError) -> None:
        self.store_errors.append(str(error))

    def site_changed(self, change: RateChange) -> None:
        self.site_changes.append(change)

    def settled_plainly(self, queue_id: str, entries: int) -> None:
        self.plain.append((queue_id, entries))

    def store_trouble(self, error: StoreError) -> None:
        self.store_errors.append(str(error))

    def new(
        self,
        *recipients: str,
        queue_id: str = "0000000000000A",
        content: bytes = CONTENT,
        flow: Flow = RELAY,
        **policy: Any,
    ) -> NewMessage:
        """Return a message of that flow whose recipients are due now."""
        lifetime = 3 * 86400.0
        message = Message(
            queue_id, NOW, "app@acme.test", MessagePolicy(**policy), header_from="app@acme.test", size=len(content)
        )
        entries = tuple(
            Entry(
                queue_id,
                number,
                address,
                f"mx:{address.partition('@')[2]}",
                NOW,
                NOW + lifetime,
                NOW,
                principal=flow.principal,
                priority=flow.priority,
            )
            for number, address in enumerate(recipients)
        )
        return NewMessage(message, content, entries)

    async def enqueue(self, *recipients: str, **given: Any) -> None:
        """Store a message, and have it claimed."""
        await self.store.queue.enqueue(self.new(*recipients, **given))
        self.runner.wake()

    async def entries(self) -> list[Entry]:
        found = await self.store.queue.entries(EntryQuery(states=EVERY))
        return [entry for _, entry in found if not entry.queue_id.startswith("0000000000R")]

    async def until(self, ready: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await ready():
                await asyncio.sleep(0.005)

    @property
    def is_publishing(self) -> bool:
        """Whether an attempt is running: it publishes its events after the store shows its outcome."""
        return bool(self.runner._attempts)

    async def until_idle(self) -> None:
        """Wait until the queue has nothing to do at this time of its clock."""
        # A claim that runs already has an earlier time of the clock.
        self.flaky_store.turn += 1
        self.runner.wake()

        async def ready() -> bool:
            return self.flaky_store.idle_turn == self.flaky_store.turn and not self.is_publishing

        await self.until(ready)

    async def until_settled(self) -> list[Entry]:
        """Return the entries once none is active and each was tried."""

        async def settled() -> bool:
            entries = await self.entries()
            return not self.is_publishing and all(one.state is not State.ACTIVE and one.attempts for one in entries)

        await self.until(settled)
        return await self.entries()


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"server": {"hostname": "relay.test"}, **sections})


@asynccontextmanager
async def running(folder: Path, of: Settings | None = None, renderer: Any = None) -> AsyncIterator[Harness]:
    store = await SqliteStore.open(folder / "relay.db", now=NOW)
    harness = Harness(store, folder, of or settings(), renderer)
    task = asyncio.create_task(harness.runner.run())
    try:
        yield harness
    finally:
        harness.delivery.gate.set()
        await harness.runner.stop(5)
        await task
        harness.journal.close()
        await store.close()


def hand_over(harness: Harness) -> Any:
    return harness.runner._hand_over


async def rests(harness: Harness) -> None:
    """Wait until the runner has found nothing to claim."""

    async def resting() -> bool:
        return hand_over(harness)._idle is not None

    await harness.until(resting)
