"""What every store counts for users: recipients, and neither copies nor mail that the relay made itself."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.events.event import Event, Kind
from relay.queue.entry import State
from relay.queue.message import NewMessage, Origin
from relay.reports.ports import MessageQuery, Tally
from relay.storage.store import Store
from tests.contract.conftest import NOW, open_at
from tests.contract.values import accepted

USERS = MessageQuery(users_only=True)


def made(queue_id: str, origin: Origin, message: NewMessage | None = None) -> NewMessage:
    """Return a message of that origin."""
    plain = message or accepted(queue_id)
    return replace(plain, message=replace(plain.message, origin=origin))


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
    assert sorted(await store.reports.tallies(USERS), key=lambda one: one.destination) == [
        Tally("acme.test", State.WAITING, 1),
        Tally("x.test", State.WAITING, 1),
    ]
    (counts,) = await store.reports.campaign_counts(USERS)
    assert counts.recipients == 2
    (counts,) = await store.reports.campaign_counts(MessageQuery())
    assert counts.recipients == 4
    (story,) = await store.reports.stories(MessageQuery(queue_id="A"))
    assert [entry.recipient for entry in story.entries] == ["u@x.test", "archive@acme.test", "boss@acme.test"]


async def test_failures_of_copies_are_no_failures_of_recipients(store: Store) -> None:
    await store.queue.enqueue(with_copies("A", "u@x.test", "archive@acme.test", copies=(1,)))
    bounces = [Event(Kind.BOUNCED, NOW, "A", number, f"{number}@x.test", {"late": True}) for number in (0, 1)]
    await store.events.record(bounces)
    assert [one.number for one in await store.reports.failures(USERS, (Kind.BOUNCED,))] == [0]
    assert [one.number for one in await store.reports.failures(MessageQuery(), (Kind.BOUNCED,))] == [1, 0]
    (counts,) = await store.reports.campaign_counts(USERS)
    assert counts.came_back == 1


@pytest.mark.parametrize("origin", ["dsn", "alert", "test", "forward"])
async def test_mail_of_the_relay_itself_is_no_mail_of_users(store: Store, origin: Origin) -> None:
    await store.queue.enqueue(made("F", origin))
    await store.events.record([Event(Kind.BOUNCED, NOW, "F", 0, "user0@example.com", {"late": True})])
    assert list(await store.reports.campaign_counts(USERS)) == []
    assert list(await store.reports.tallies(USERS)) == list(await store.reports.remotes(USERS)) == []
    assert list(await store.reports.failures(USERS, (Kind.BOUNCED,))) == []
    assert list(await store.reports.stories(USERS)) == []
    assert list(await store.reports.tallies(MessageQuery())) == [Tally("example.com", State.WAITING, 1)]
    (story,) = await store.reports.stories(MessageQuery())
    assert story.message.origin == origin


HISTORIES = st.lists(
    st.tuples(
        st.sampled_from(["", "dsn", "alert", "test", "forward"]),
        st.lists(st.sampled_from(["x.test", "y.test", "z.test"]), min_size=1, max_size=3),
        st.integers(0, 2),
        st.sets(st.integers(0, 4)),
    ),
    max_size=8,
)
"""Messages: origin, domains of the recipients, number of copies, numbers of what bounced late."""


@given(HISTORIES, st.booleans())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_figures_of_a_report_agree(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[Origin, list[str], int, set[int]]], users: bool
) -> None:
    asyncio.run(_figures_agree(tmp_path_factory.mktemp("store"), history, users=users))


async def _figures_agree(folder: Path, history: list[tuple[Origin, list[str], int, set[int]]], *, users: bool) -> None:
    store = await open_at(folder, "", NOW)
    try:
        expected: Counter[str] = Counter()
        late = 0
        for place, (origin, domains, copies, bounced) in enumerate(history):
            queue_id = f"M{place}"
            people = [f"u{number}@{domain}" for number, domain in enumerate(domains)]
            addresses = people + [f"copy{number}@archive.test" for number in range(copies)]
            numbers = tuple(range(len(people), len(addresses)))
            await store.queue.enqueue(made(queue_id, origin, with_copies(queue_id, *addresses, copies=numbers)))
            failed = sorted(number for number in bounced if number < len(addresses))
            await store.events.record(
                [Event(Kind.BOUNCED, NOW, queue_id, one, addresses[one], {"late": True}) for one in failed]
            )
            if users and origin:
                continue
            expected.update(domains)
            expected["archive.test"] += 0 if users else copies
            late += sum(not users or number < len(people) for number in failed)

        query = MessageQuery(users_only=users)
        tallies: Counter[str] = Counter()
        for one in await store.reports.tallies(query):
            tallies[one.destination] += one.count
        assert tallies == +expected
        assert sum(one.count for one in await store.reports.remotes(query)) == tallies.total()
        assert len(await store.reports.failures(query, (Kind.BOUNCED,))) == late
        counts = await store.reports.campaign_counts(query)
        assert sum(one.recipients for one in counts) == tallies.total()
        assert sum(one.came_back for one in counts) == late
    finally:
        await store.close()
