"""What every store does with suppressions: evidence weighed, addresses found, scopes and ends respected."""

from dataclasses import replace
from itertools import count

import pytest

from relay.events.event import Event, Kind
from relay.mail.canonical_address import canonical
from relay.queue.entry import State
from relay.queue.message import ReturnedMail, Settlement
from relay.reports.ports import Failure, MessageQuery, Tally
from relay.storage import report_queries
from relay.storage.store import Store
from relay.suppression.model import Evidence, Suppression
from relay.suppression.ports import SuppressionQuery
from tests.contract.conftest import Opener
from tests.contract.values import NOW, ROOMY, accepted, settle

FULL = Suppression("u@x.test", "", "mailbox_full", "full", "552 5.2.2 full \udcff", "A", NOW)

_NTH = count()
"""What tells one bounce from the next."""


async def listed(store: Store, now: float = NOW) -> dict[str, Suppression]:
    return dict(await store.suppressions.suppressed(["U@X.test"], "acme.test", now))


async def weigh(store: Store, queue_id: str, *, threshold: int = 3, late: bool = False, at: float = NOW) -> None:
    found = replace(FULL, queue_id=queue_id, created_at=at)
    bounce = Event(Kind.BOUNCED, at, queue_id, 0, data={"nth": next(_NTH)})
    await store.events.record_returned([ReturnedMail(bounce, (Evidence(found, threshold, late),))])


async def test_evidence_suppresses_at_once_or_at_the_threshold(store: Store) -> None:
    await weigh(store, "A")
    await weigh(store, "A")
    await weigh(store, "B")
    assert await listed(store) == {}
    await weigh(store, "C")
    assert (await listed(store))["u@x.test"].queue_id == "C"
    await weigh(store, "D", threshold=1)
    assert (await listed(store))["u@x.test"].queue_id == "C"


async def test_a_settlement_brings_its_evidence_and_a_delivery_takes_back_what_was_counted(store: Store) -> None:
    for queue_id, state in (("A", State.BOUNCED), ("B", State.BOUNCED), ("C", State.DELIVERED), ("D", State.BOUNCED)):
        await store.queue.enqueue(accepted(queue_id, "u@x.test"))
        (claimed,) = await store.queue.claim(NOW, ROOMY)
        evidence = (Evidence(replace(FULL, queue_id=queue_id), 3),) if state is State.BOUNCED else ()
        await store.queue.apply([replace(settle(claimed, state, NOW), evidence=evidence)])
    assert await listed(store) == {}
    await store.queue.apply([Settlement((), evidence=(Evidence(replace(FULL, queue_id="E"), 2),))])
    assert set(await listed(store)) == {"u@x.test"}


async def test_a_delivery_does_not_take_back_what_bounced_after_one(store: Store) -> None:
    await weigh(store, "A", late=True)
    await store.queue.enqueue(accepted("B", "u@x.test"))
    (claimed,) = await store.queue.claim(NOW, ROOMY)
    await store.queue.apply([settle(claimed, State.DELIVERED, NOW)])
    await weigh(store, "B", threshold=2, late=True)
    assert set(await listed(store)) == {"u@x.test"}


async def test_old_soft_bounces_count_no_more(store: Store) -> None:
    await weigh(store, "A", threshold=2)
    await weigh(store, "B", threshold=2, at=NOW + 31 * 86400)
    assert await listed(store) == {}


async def test_housekeeping_forgets_soft_bounces_with_their_messages(store: Store) -> None:
    await weigh(store, "A", threshold=2)
    await store.queue.purge(NOW + 1)
    await weigh(store, "B", threshold=2, at=NOW + 2)
    assert await listed(store) == {}


async def test_scope_and_end_are_respected(store: Store) -> None:
    await store.suppressions.add([replace(FULL, domain="other.test")])
    assert await listed(store) == {}
    await store.suppressions.add([replace(FULL, domain="acme.test", expires_at=NOW + 10)])
    assert {one.state(NOW) for one in (await listed(store)).values()} == {"suppressed"}
    assert {one.state(NOW + 10) for one in (await listed(store, NOW + 10)).values()} == {"probation"}
    assert [one.domain for one in await store.suppressions.remove(["U@x.test"], "acme.test")] == ["acme.test"]
    assert [one.domain for one in await store.suppressions.find(SuppressionQuery())] == ["other.test"]


async def test_a_row_of_an_identity_holds_for_its_mail_alone(store: Store) -> None:
    await store.suppressions.add([replace(FULL, domain="news@acme.test", provenance="cc", proof="its mailbox")])
    assert await listed(store) == {}
    own = await store.suppressions.suppressed(["u@x.test"], "acme.test", NOW, "news@acme.test")
    assert (own["u@x.test"].provenance, own["u@x.test"].proof) == ("cc", "its mailbox")
    assert not await store.suppressions.suppressed(["u@x.test"], "acme.test", NOW, "other@acme.test")


async def test_pages_of_unproven_evidence_leave_no_reason_out(store: Store) -> None:
    reasons = ["bad_mailbox", "complaint", "mailbox_full"]
    for address in ("a@x.test", "b@x.test", "c@x.test"):
        found = [Evidence(Suppression(address, "", one, created_at=NOW), unproven="nobody vouches") for one in reasons]
        await store.events.record_returned([ReturnedMail(Event(Kind.BOUNCED, NOW, address, 0), tuple(found))])

    pages: list[list[tuple[str, str]]] = []
    after = ("", "")
    while page := await store.suppressions.unproven(SuppressionQuery(after=after, limit=4)):
        pages.append([(one.suppression.address, one.suppression.reason) for one in page])
        after = (page[-1].suppression.address, page[-1].suppression.domain)
    assert [len(page) for page in pages] == [6, 3]
    every = [one for page in pages for one in page]
    assert every == [(f"{name}@x.test", reason) for name in "abc" for reason in reasons]


async def test_unproven_evidence_is_recorded_and_suppresses_nobody(store: Store) -> None:
    unproven = Evidence(replace(FULL, provenance="report"), unproven="nobody vouches")
    for nth in range(2):
        event = Event(Kind.BOUNCED, NOW, "A", 0, data={"nth": nth})
        await store.events.record_returned([ReturnedMail(event, (unproven,))])
    assert await listed(store) == {}
    assert await store.suppressions.find(SuppressionQuery()) == []
    query = SuppressionQuery(address="U@x.test", reason="mailbox_full")
    (found,) = await store.suppressions.unproven(query)
    assert (found.why, found.times, found.suppression.queue_id) == ("nobody vouches", 2, "A")
    assert await store.suppressions.unproven(SuppressionQuery(reason="other")) == []
    await store.queue.purge(NOW + 1)
    assert await store.suppressions.unproven(SuppressionQuery()) == []


async def test_taking_off_forgets_what_was_counted(store: Store) -> None:
    await weigh(store, "A")
    await weigh(store, "B")
    assert await store.suppressions.remove(["u@x.test"], "") == []
    await weigh(store, "C")
    assert await listed(store) == {}


async def test_the_list_is_read_page_by_page(store: Store) -> None:
    many = [replace(FULL, address=f"u{number}@x.test", reply="") for number in range(5)]
    await store.suppressions.add(many)
    first = await store.suppressions.find(SuppressionQuery(limit=3))
    rest = await store.suppressions.find(SuppressionQuery(limit=3, after=(first[-1].address, first[-1].domain)))
    assert [*first, *rest] == many
    assert await store.suppressions.find(SuppressionQuery(address="U3@x.test")) == [many[3]]
    assert await store.suppressions.find(SuppressionQuery(reason="manual")) == []
    found = await store.suppressions.suppressed([f"u{number}@x.test" for number in range(2000)], "", NOW)
    assert len(found) == 5


async def test_the_list_holds_after_a_restart(opener: Opener) -> None:
    store = await opener(NOW)
    await store.suppressions.add([FULL])
    await store.close()
    store = await opener(NOW)
    assert (await listed(store))["u@x.test"] == replace(FULL, reply="552 5.2.2 full ?")
    await store.close()


async def test_reports_count_by_destination_and_read_failures_with_their_messages(store: Store) -> None:
    await store.queue.enqueue(accepted("A", '"odd@name"@X.test', "v@y.test"))
    claimed = await store.queue.claim(NOW, ROOMY)
    for one in claimed:
        state = State.BOUNCED if one.entries[0].number == 0 else State.DELIVERED
        await store.queue.apply([settle(one, state, NOW)])
    assert sorted(await store.reports.tallies(MessageQuery()), key=str) == [
        Tally("x.test", "bounced", 1),
        Tally("y.test", "delivered", 1),
    ]
    await store.events.record([Event(Kind.BOUNCED, NOW + 1, "A", 1, "", {"category": "unknown", "late": True})])
    failures = await store.reports.failures(MessageQuery(), (Kind.BOUNCED, Kind.COMPLAINT))
    assert [(one.number, one.address) for one in failures] == [(1, "v@y.test"), (0, '"odd@name"@X.test')]
    assert [one.number for one in await store.reports.failures(MessageQuery(), (Kind.BOUNCED,), "unknown")] == [1]
    assert await store.reports.failures(MessageQuery(since=NOW + 5), (Kind.BOUNCED,)) == []
    assert await store.reports.failures(MessageQuery(domain="nobody.test"), (Kind.BOUNCED,)) == []


async def test_failures_come_in_pages_without_gap_or_repetition(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_queries, "PAGE", 2)
    await store.queue.enqueue(accepted("A", *(f"u{number}@x.test" for number in range(5))))
    moments = [NOW, NOW + 1, NOW + 1, NOW + 1, NOW + 2]
    await store.events.record([Event(Kind.BOUNCED, at, "A", number) for number, at in enumerate(moments)])
    found: list[int] = []
    last: Failure | None = None
    while page := await store.reports.failures(MessageQuery(), (Kind.BOUNCED,), before=last):
        assert len(page) <= 2
        found += [one.number for one in page]
        last = page[-1]
    assert found == [4, 3, 2, 1, 0]
    assert [(one.destination, one.state, one.count) for one in await store.reports.remotes(MessageQuery())] == [
        ("", "waiting", 5)
    ]


async def test_a_bounce_met_again_counts_once_whatever_the_rules_make_of_it_now(store: Store) -> None:
    told: dict[str, object] = {"late": True, "reply": "550 no", "status": "5.0.0", "remote": "mx.x.test"}
    before = Event(Kind.BOUNCED, NOW, "A", 0, data=told | {"category": "mailbox_full", "rule": "full"})
    after = replace(before, data=told | {"category": "unknown", "rule": "", "guidance": "Read it.", "phase": "rcpt"})
    other = replace(after, data=dict(after.data) | {"reply": "550 never"})
    for event, new in ((before, True), (after, False), (other, True)):
        assert bool(await store.events.record_returned([ReturnedMail(event, (Evidence(FULL, 3),))])) is new
    assert await listed(store) == {}


SPELLINGS = ['"bob"@x.test', "BOB@x.test.", r'"b\ob"@X.test']


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_every_spelling_of_an_address_is_the_one_on_the_list(store: Store, spelling: str) -> None:
    await store.suppressions.add([Suppression(spelling)])
    assert set(await store.suppressions.suppressed(["bob@x.test", *SPELLINGS], "acme.test", NOW)) == {"bob@x.test"}
    assert [one.address for one in await store.suppressions.remove(["bob@x.test"], "")] == ["bob@x.test"]


@pytest.mark.parametrize("address", ['"bob"@x.test', "bob@x.test.", "ann@bücher.test"])
async def test_a_row_of_a_version_before_is_found_by_its_spelling(store: Store, address: str) -> None:
    await store.suppressions.add([Suppression("other@x.test")])
    await store.database.write(lambda raw: raw.execute("UPDATE suppressions SET address = ?", (address,)))
    assert set(await store.suppressions.suppressed([address], "acme.test", NOW)) == {canonical(address)}
    assert [one.address for one in await store.suppressions.find(SuppressionQuery(address=address))] == [address]
    assert [one.address for one in await store.suppressions.remove([address], "")] == [address]
