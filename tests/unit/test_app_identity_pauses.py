"""Identities are paused by their rates or by an operator: what counts, what is held back, what a resumption does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.app.alerts import Alert
from relay.app.identity_pauses import IdentityPauses, ReputationWatch
from relay.app.observer import Observer
from relay.app.outcome_counter import OutcomeCounter, outcome_counts
from relay.config.settings import Settings
from relay.events.event import Event, Kind
from relay.events.ports import StoreError
from relay.limits.outcome_rates import OutcomeCounts
from relay.queue.entry import State
from relay.queue.pause import identity_subject
from relay.queue.runner import Runner
from tests.unit.queue_harness import NOW, Harness, running

JANE = "jane@acme.test"

HARD = {"identity": JANE, "category": "bad_mailbox"}


def event(kind: Kind, **data: Any) -> Event:
    return Event(kind, NOW, "A", 0, "u@x.test", {"identity": JANE, **data})


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (event(Kind.DELIVERED), OutcomeCounts(1)),
        (event(Kind.BOUNCED, category="bad_mailbox"), OutcomeCounts(1, 1)),
        (event(Kind.BOUNCED, category="bad_domain"), OutcomeCounts(1, 1)),
        (event(Kind.BOUNCED, category="virus"), OutcomeCounts(1, 1)),
        (event(Kind.BOUNCED, category="sender_rejected"), OutcomeCounts(1, 1)),
        (event(Kind.BOUNCED, category="expired"), OutcomeCounts(1)),
        (event(Kind.BOUNCED, category="mailbox_full"), OutcomeCounts(1)),
        (event(Kind.BOUNCED), OutcomeCounts(1)),
        (event(Kind.BOUNCED, category="bad_mailbox", late=True), OutcomeCounts(0, 1)),
        (event(Kind.BOUNCED, category="bad_mailbox", late=True, unproven=True), OutcomeCounts()),
        (event(Kind.COMPLAINT), OutcomeCounts(0, 0, 1)),
        (event(Kind.COMPLAINT, unproven=True), OutcomeCounts()),
        (event(Kind.FEEDBACK), OutcomeCounts()),
        (event(Kind.DEFERRED, category="bad_mailbox"), OutcomeCounts()),
        (event(Kind.DROPPED), OutcomeCounts()),
        (event(Kind.DELIVERED, origin="test"), OutcomeCounts()),
        (event(Kind.BOUNCED, category="bad_mailbox", copy=True), OutcomeCounts()),
    ],
)
def test_only_proven_outcomes_of_senders_count(event: Event, expected: OutcomeCounts) -> None:
    assert outcome_counts(event) == expected


def test_mail_without_an_identity_counts_for_nobody() -> None:
    tally = OutcomeCounter()
    tally.count([Event(Kind.DELIVERED, NOW, "A", 0, "u@x.test", {"identity": ""}), event(Kind.DELIVERED)])
    assert tally.take() == {JANE: OutcomeCounts(1)}
    assert tally.take() == {}


class Watch:
    """The watch of one node over a harness."""

    def __init__(self, harness: Harness) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.alerts: list[Alert] = []
        self.observer = Observer(self, lambda: harness.now, self.alerts.append)  # type: ignore[arg-type]
        self.shared = harness.runner.shared_pauses
        self.pauses = IdentityPauses(self.shared, harness.store.outcomes, self.observer, lambda: harness.now)
        self.watch = ReputationWatch(
            lambda: Settings(),
            self.observer.outcomes,
            harness.store.outcomes,
            self.pauses,
            self.observer,
            lambda: harness.now,
        )

    def __call__(self, line: str, /, **fields: object) -> None:
        self.lines.append((line, fields))

    async def happens(self, *events: Event) -> None:
        self.observer.outcomes.count(events)
        await self.watch.compare()

    @property
    def logged(self) -> list[str]:
        return [line for line, _ in self.lines]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with running(tmp_path) as started:
        yield started


async def test_an_identity_is_paused_by_its_bounces_once(harness: Harness) -> None:
    watch = Watch(harness)
    await watch.happens(*[event(Kind.BOUNCED, **HARD)] * 9)
    assert watch.shared.identities() == {}
    await watch.happens(event(Kind.BOUNCED, **HARD))
    (pause,) = watch.shared.identities().values()
    assert (pause.identity, pause.category, pause.at, pause.until) == (JANE, "bounces", NOW, 0.0)
    assert pause.why == "10 of 10 recipients bounced within 24 hours (100 %, the limit is 10 %)"
    await watch.happens(event(Kind.BOUNCED, **HARD))
    assert watch.logged == ["identity.paused"]
    (alert,) = watch.alerts
    assert f"relay identity resume {JANE}" in alert.text
    assert b'relay_identity_pauses_total{cause="bounces"} 1.0' in watch.observer.metrics.exposition()


async def test_an_identity_is_paused_by_complaints(harness: Harness) -> None:
    watch = Watch(harness)
    await watch.happens(*[event(Kind.DELIVERED)] * 500, *[event(Kind.COMPLAINT)] * 3)
    (pause,) = watch.shared.identities().values()
    assert pause.category == "complaints"


async def test_a_resumed_identity_is_not_paused_again_by_what_is_known(harness: Harness) -> None:
    watch = Watch(harness)
    await watch.happens(*[event(Kind.BOUNCED, **HARD)] * 10)
    assert await watch.pauses.resume(JANE) == 0
    await watch.happens(event(Kind.DELIVERED))
    assert watch.shared.identities() == {}
    assert watch.logged == ["identity.paused", "identity.resumed"]
    assert await watch.pauses.resume(JANE) is None


async def test_outcomes_are_kept_while_the_store_is_away(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(harness)

    async def away(*_: object) -> Any:
        raise StoreError("away")

    with monkeypatch.context() as failing:
        failing.setattr(harness.store.outcomes, "add", away)
        await watch.happens(*[event(Kind.BOUNCED, **HARD)] * 6)
    assert watch.logged == ["store.trouble"]
    await watch.happens(*[event(Kind.BOUNCED, **HARD)] * 4)
    assert set(watch.shared.identities()) == {JANE}


async def test_queued_mail_of_a_paused_identity_waits_and_leaves_when_it_is_resumed(harness: Harness) -> None:
    watch = Watch(harness)
    await watch.pauses.pause(JANE, "operator", "an operator paused it: a leak")
    await harness.enqueue("a@x.test", "b@y.test", queue_id="0000000000000J", identity=JANE)
    await harness.enqueue("c@x.test", queue_id="0000000000000K", identity="bob@acme.test")

    async def held() -> bool:
        return {one.reason for one in await harness.entries() if one.state is State.WAITING} == {
            "its identity is paused: an operator paused it: a leak"
        } and not harness.is_publishing

    await harness.until(held)
    waiting = [one for one in await harness.entries() if one.state is State.WAITING]
    assert {(one.queue_id, one.attempts, one.next_attempt_at) for one in waiting} == {("0000000000000J", 0, NOW + 900)}
    assert {one.recipient for one in await harness.entries() if one.state is State.DELIVERED} == {"c@x.test"}

    assert await watch.pauses.resume(JANE) == 2
    assert {one.state for one in await harness.until_settled()} == {State.DELIVERED}


async def test_nodes_share_the_pause_and_its_end(harness: Harness) -> None:
    watch, node = Watch(harness), Runner(harness.context, asyncio.Event(), Path()).shared_pauses
    await watch.pauses.pause(JANE, "operator", "an operator paused it")
    await node.load()
    assert node.identity(JANE) is not None
    assert not await node.add(watch.shared.identities()[JANE])
    await node.resume(identity_subject(JANE))
    await watch.shared.refresh()
    assert watch.shared.identity(JANE) is None


async def test_an_application_ends_its_own_pause_and_none_that_another_node_has_just_made(harness: Harness) -> None:
    watch, node = Watch(harness), Runner(harness.context, asyncio.Event(), Path()).shared_pauses
    assert await watch.pauses.pause(JANE, "application", "the application shop paused it")
    elsewhere = IdentityPauses(node, harness.store.outcomes, watch.observer, lambda: harness.now)
    assert await elsewhere.pause(JANE, "operator", "an operator paused it")

    assert await watch.pauses.resume_of_application(JANE) is None
    assert watch.shared.identities()[JANE].category == "operator", "the refusal names what remains"
    assert await watch.pauses.resume(JANE) == 0
    assert await watch.pauses.pause(JANE, "application", "the application shop paused it")
    assert await watch.pauses.resume_of_application(JANE) == 0
    assert watch.shared.identities() == {}
    assert await watch.pauses.resume_of_application(JANE) is None
