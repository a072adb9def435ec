"""What every store counts: recipients, and neither copies nor mail that is only passed on."""

from dataclasses import replace

from relay.queue.entry import State
from relay.queue.message import NewMessage
from relay.reports.ports import MessageQuery, Tally
from relay.storage.store import Store
from tests.contract.values import accepted


def with_copies(queue_id: str, *recipients: str, copies: tuple[int, ...]) -> NewMessage:
    made = accepted(queue_id, *recipients)
    policy = replace(made.message.policy, copies=copies)
    events = tuple(
        replace(event, data={"lane": "mx:x.test", "copy": True}) if event.number in copies else event
        for event in made.events
    )
    return replace(made, message=replace(made.message, policy=policy), events=events)


async def test_copies_are_no_recipients(store: Store) -> None:
    await store.queue.enqueue(with_copies("A", "u@x.test", "archive@acme.test", "boss@acme.test", copies=(1, 2)))
    await store.queue.enqueue(accepted("B", "v@acme.test"))
    assert sorted(await store.reports.tallies(MessageQuery()), key=lambda one: one.destination) == [
        Tally("acme.test", State.WAITING, 1),
        Tally("x.test", State.WAITING, 1),
    ]
    (counts,) = await store.reports.campaign_counts(MessageQuery())
    assert counts.recipients == 2
    (story,) = await store.reports.stories(MessageQuery(queue_id="A"))
    assert [entry.recipient for entry in story.entries] == ["u@x.test", "archive@acme.test", "boss@acme.test"]


async def test_replies_that_are_passed_on_are_no_mail_of_ours(store: Store) -> None:
    forward = accepted("F", "owner@acme.test")
    policy = replace(forward.message.policy, forward_domain="reply.acme.test")
    await store.queue.enqueue(replace(forward, message=replace(forward.message, policy=policy)))
    assert list(await store.reports.campaign_counts(MessageQuery())) == []
    assert list(await store.reports.tallies(MessageQuery())) == [Tally("acme.test", State.WAITING, 1)]
