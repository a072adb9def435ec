"""What every store does with a suppression after its end: one message tests the address, its result decides."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from relay.events.event import Event, Kind
from relay.queue.entry import State
from relay.queue.message import ReturnedMail
from relay.storage.store import Store
from relay.suppression.model import MANUAL, Evidence, Suppression
from relay.suppression.ports import SuppressionQuery
from tests.contract.values import NOW, ROOMY, accepted, settle

DAY = 86400.0

FULL = Suppression("u@x.test", "", "mailbox_full", "full", "552 5.2.2 full", "A", NOW - 14 * DAY, NOW)
"""Ends at NOW."""


async def states(store: Store, now: float = NOW) -> list[str]:
    return [one.state(now) for one in (await store.suppressions.suppressed(["U@x.test"], "acme.test", now)).values()]


async def begin(store: Store, queue_id: str, now: float = NOW, *, domain: str = "acme.test") -> Mapping[str, str]:
    return await store.suppressions.begin_probation(["U@x.test"], domain, queue_id, now)


async def attempt(store: Store, queue_id: str, state: State, *evidence: Evidence) -> None:
    """Enqueue a message, claim it, and settle it."""
    await store.queue.enqueue(accepted(queue_id, "u@x.test"))
    (claimed,) = await store.queue.claim(NOW, ROOMY)
    await store.queue.apply([replace(settle(claimed, state, NOW), evidence=evidence)])


async def test_a_suppression_is_in_force_until_its_end_and_then_on_probation(store: Store) -> None:
    await store.suppressions.add([FULL])
    assert await states(store, NOW - 1) == ["suppressed"]
    assert await states(store) == ["probation"]
    await store.suppressions.add([replace(FULL, reason=MANUAL)])
    assert await states(store) == []


async def test_a_suppression_in_force_precedes_one_on_probation(store: Store) -> None:
    await store.suppressions.add([FULL, replace(FULL, domain="acme.test", expires_at=0)])
    assert await states(store) == ["suppressed"]


async def test_one_message_tests_the_address(store: Store) -> None:
    await store.suppressions.add([FULL])
    assert await begin(store, "B") == {}
    assert await begin(store, "B") == {}
    assert await begin(store, "C", NOW + 59) == {"u@x.test": "B"}
    await store.queue.enqueue(accepted("B", "u@x.test"))
    assert await begin(store, "C", NOW + 3 * DAY) == {"u@x.test": "B"}
    (listed,) = await store.suppressions.find(SuppressionQuery())
    assert (listed.probation, listed.state(NOW)) == ("B", "probation")


async def test_the_next_message_tests_when_the_first_ends_without_a_result(store: Store) -> None:
    await store.suppressions.add([FULL])
    await begin(store, "B")
    await attempt(store, "B", State.BOUNCED)
    assert await begin(store, "C", NOW + 60) == {"u@x.test": "B"}
    assert await begin(store, "C", NOW + 61) == {}
    assert await begin(store, "D", NOW + 200) == {}


async def test_a_delivery_lifts_the_suppression(store: Store) -> None:
    await store.suppressions.add([FULL, replace(FULL, address="v@x.test")])
    await begin(store, "B")
    await attempt(store, "A", State.DELIVERED)
    assert await states(store) == ["probation"]
    await attempt(store, "B", State.DELIVERED)
    assert await states(store) == []
    assert [one.address for one in await store.suppressions.find(SuppressionQuery())] == ["v@x.test"]
    assert await store.suppressions.remove(["u@x.test"], "") == []


async def test_a_bounce_renews_the_suppression_for_twice_its_length(store: Store) -> None:
    await store.suppressions.add([FULL])
    await begin(store, "B")
    found = replace(FULL, queue_id="B", created_at=NOW, expires_at=NOW + 14 * DAY)
    await attempt(store, "B", State.BOUNCED, Evidence(found, threshold=3))
    (renewed,) = await store.suppressions.find(SuppressionQuery())
    assert renewed == replace(found, expires_at=NOW + 28 * DAY)


async def test_a_bounce_that_proves_less_renews_it_in_its_own_scope(store: Store) -> None:
    await store.suppressions.add([FULL])
    await begin(store, "B")
    await attempt(store, "B", State.DELIVERED)
    found = replace(FULL, domain="acme.test", queue_id="B", created_at=NOW, expires_at=NOW + 14 * DAY)
    bounce = ReturnedMail(Event(Kind.BOUNCED, NOW, "B", 0), (Evidence(found, threshold=3, late=True),))
    await store.events.record_returned([bounce])
    (renewed,) = await store.suppressions.find(SuppressionQuery())
    assert (renewed.domain, renewed.expires_at) == ("acme.test", NOW + 28 * DAY)


async def test_a_bounce_by_mail_after_the_delivery_renews_it_too(store: Store) -> None:
    await store.suppressions.add([FULL])
    await begin(store, "B")
    await attempt(store, "B", State.DELIVERED)
    found = replace(FULL, queue_id="B", created_at=NOW + DAY, expires_at=NOW + 15 * DAY)
    bounce = ReturnedMail(Event(Kind.BOUNCED, NOW + DAY, "B", 0), (Evidence(found, threshold=3, late=True),))
    await store.events.record_returned([bounce])
    (renewed,) = await store.suppressions.find(SuppressionQuery())
    assert renewed.expires_at == NOW + DAY + 28 * DAY


async def test_housekeeping_deletes_lifted_suppressions(store: Store) -> None:
    await store.suppressions.add([FULL])
    await begin(store, "B")
    await attempt(store, "B", State.DELIVERED)
    await store.queue.purge(NOW + DAY)
    bounce = Evidence(replace(FULL, queue_id="B", created_at=NOW, expires_at=NOW + 14 * DAY), threshold=1)
    await attempt(store, "C", State.BOUNCED, bounce)
    (fresh,) = await store.suppressions.find(SuppressionQuery())
    assert fresh.expires_at == NOW + 14 * DAY


@pytest.mark.parametrize("domain", ["acme.test", "other.test"])
async def test_suppressions_of_the_sending_domain_are_tested_apart(store: Store, domain: str) -> None:
    await store.suppressions.add([replace(FULL, domain="acme.test")])
    assert await begin(store, "B") == {}
    assert await begin(store, "C", domain=domain) == ({"u@x.test": "B"} if domain == "acme.test" else {})


async def test_a_length_is_given_to_suppressions_without_an_end(store: Store) -> None:
    endless = replace(FULL, expires_at=0)
    others = [replace(endless, address="m@x.test", reason=MANUAL), replace(FULL, address="s@x.test", expires_at=5)]
    await store.suppressions.add([endless, *others])
    await store.suppressions.limit({"mailbox_full": 20 * DAY, "bad_mailbox": 1.0})
    assert [one.expires_at for one in await store.suppressions.find(SuppressionQuery())] == [0, 5, NOW + 6 * DAY]
