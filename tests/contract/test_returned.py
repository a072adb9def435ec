"""What every store does with what comes back: event, evidence and forward are one, and known things come in once."""

from dataclasses import replace

from relay.events.event import Event, Kind
from relay.queue.message import ReturnedMail
from relay.reports.ports import MessageQuery
from relay.storage.store import Store
from relay.suppression.model import Evidence, Suppression
from tests.contract.values import NOW, ROOMY, accepted

REPLY = Event(Kind.REPLY, NOW, "A", 0, data={"from": "Zoë <u@x.test>", "message_id": "<r@x.test>"})

BOUNCE = Event(Kind.BOUNCED, NOW, "A", 0, data={"status": "5.1.1", "late": True})

GONE = Evidence(Suppression("u@x.test", reason="bad_mailbox", created_at=NOW))


async def events(store: Store, queue_id: str = "A") -> list[Event]:
    (story,) = await store.reports.stories(MessageQuery(queue_id=queue_id))
    return [one for one in story.events if one.kind is not Kind.CREATED]


async def test_event_and_forward_become_durable_together(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "u@x.test", due=NOW + 999))
    forward = accepted("F", "owner@acme.test", content=b"as it came")
    new = await store.events.record_returned([ReturnedMail(REPLY, forwards=(forward,))])
    assert list(new) == [replace(REPLY, address="u@x.test"), *forward.events]
    assert await events(store) == [replace(REPLY, address="u@x.test")]
    (claimed,) = await store.queue.claim(NOW, ROOMY)
    assert (claimed.message.queue_id, claimed.content) == ("F", b"as it came")


async def test_what_is_known_is_passed_over_whole(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "u@x.test", "v@x.test"))
    await store.events.record_returned([ReturnedMail(REPLY, forwards=(accepted("F", "owner@acme.test"),))])
    later = replace(REPLY, at=NOW + 60)
    assert (
        list(await store.events.record_returned([ReturnedMail(later, (GONE,), (accepted("G", "owner@acme.test"),))]))
        == []
    )
    assert not await store.suppressions.suppressed(["u@x.test"], "acme.test", NOW)
    assert not await store.reports.stories(MessageQuery(queue_id="G"))
    others = [replace(later, number=1), replace(later, data={**REPLY.data, "message_id": "<s@x.test>"}), BOUNCE]
    new = await store.events.record_returned([ReturnedMail(one) for one in others])
    assert [(one.kind, one.address) for one in new] == [
        (Kind.REPLY, "v@x.test"),
        (Kind.REPLY, "u@x.test"),
        (Kind.BOUNCED, "u@x.test"),
    ]


async def test_evidence_comes_with_its_event_and_unknown_messages_have_events_too(store: Store) -> None:
    new = await store.events.record_returned([ReturnedMail(replace(BOUNCE, address="u@x.test"), (GONE,))])
    assert [one.address for one in new] == ["u@x.test"]
    assert "u@x.test" in await store.suppressions.suppressed(["u@x.test"], "acme.test", NOW)
    assert list(await store.events.record_returned([ReturnedMail(replace(BOUNCE, address="u@x.test"), (GONE,))])) == []


async def test_an_unsubscribe_that_says_more_once_recorded_is_known_again(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "u@x.test"))
    leave = replace(REPLY, kind=Kind.UNSUBSCRIBE, data={**REPLY.data, "by": "reply"})
    assert len(await store.events.record_returned([ReturnedMail(leave)])) == 1
    assert list(await store.events.record_returned([ReturnedMail(leave)])) == []


async def test_a_proven_report_is_new_after_the_same_one_of_a_stranger(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "u@x.test"))
    unproven = replace(BOUNCE, data={**BOUNCE.data, "unproven": "nobody vouches for it"})
    for event, is_new in ((unproven, True), (unproven, False), (BOUNCE, True), (BOUNCE, False), (unproven, False)):
        evidence = replace(GONE, unproven=str(event.data.get("unproven", "")))
        assert bool(await store.events.record_returned([ReturnedMail(event, (evidence,))])) is is_new
    assert "u@x.test" in await store.suppressions.suppressed(["u@x.test"], "acme.test", NOW)
