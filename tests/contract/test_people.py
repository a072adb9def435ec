"""Accounts, sessions, failed logins, plans and the audit of people: the same on both stores, for all nodes."""

import asyncio

from relay.people.ports import Account, Change, ChangeQuery, Plan, Session
from relay.storage.sessions import MAX_WAIT, MEMORY
from relay.storage.store import Store
from tests.contract.conftest import NOW, Opener

JANE = "jane@acme.test"


def session(token: str, address: str = JANE, ends_at: float = NOW + 100) -> Session:
    return Session(token, address, "g1", NOW, ends_at, "192.0.2.7")


async def test_an_action_is_no_pattern(store: Store) -> None:
    rows = [
        Change(f"c{number}", NOW, JANE, action, "s", "", "", "192.0.2.7")
        for number, action in enumerate(("queue.hold", "sign_up.done", "signXup.done", "100%.done", "Queue.hold"))
    ]
    await store.changes.record(rows)
    for action, found in (("sign_up", ["c1"]), ("100%", ["c3"]), ("%", []), ("queue", ["c0"]), ("queu_", [])):
        assert [one.id for one in await store.changes.changes(ChangeQuery(action=action))] == found, action


async def test_a_password_replaces_the_one_that_was_seen_only(opener: Opener) -> None:
    store = await opener(NOW)
    new = Account(JANE)
    assert await store.accounts.set_password(new, "h1", "m1")
    assert not await store.accounts.set_password(new, "h2", "m1"), "another one was faster"
    first = await store.accounts.account(JANE)
    assert first == Account(JANE, "m1", "h1")
    assert first is not None
    assert await store.accounts.set_password(first, "h3", "m1")
    await store.close()
    store = await opener(NOW)
    assert list(await store.accounts.accounts()) == [Account(JANE, "m1", "h3")]
    assert await store.accounts.account("carl@acme.test") is None


async def test_of_two_people_with_one_code_one_sets_the_password(store: Store) -> None:
    done = await asyncio.gather(
        *(store.accounts.set_password(Account(JANE), f"h{number}", "m1") for number in range(8))
    )
    assert sum(done) == 1
    found = await store.accounts.account(JANE)
    assert found is not None
    assert found.password_hash == f"h{done.index(True)}"


async def test_a_code_of_the_app_is_used_once(store: Store) -> None:
    await store.accounts.set_totp(JANE, "k1:sealed", 10)
    assert not await store.accounts.use_totp(JANE, 10)
    assert not await store.accounts.use_totp(JANE, 9)
    done = await asyncio.gather(*(store.accounts.use_totp(JANE, 11) for _ in range(8)))
    assert sum(done) == 1
    assert await store.accounts.use_totp(JANE, 12, "k2:sealed")
    assert await store.accounts.account(JANE) == Account(JANE, totp="k2:sealed", totp_step=12)
    await store.accounts.set_totp(JANE, "", 0)
    await store.accounts.note_login(JANE, NOW, "192.0.2.0")
    assert await store.accounts.account(JANE) == Account(JANE, logged_in_at=NOW, network="192.0.2.0")


async def test_a_session_replaces_the_former_one_and_ends(store: Store) -> None:
    sessions = store.sessions
    await store.accounts.set_password(Account(JANE), "h1", "m1")
    await sessions.begin(session("t1"), "")
    await sessions.begin(session("t2"), "t1")
    await sessions.begin(session("t3"), "")
    await sessions.begin(session("t4", "carl@acme.test"), "")
    assert await sessions.find("t1", NOW) is None
    assert await sessions.find("t2", NOW) == (session("t2"), Account(JANE, "m1", "h1"))
    assert await sessions.find("t4", NOW) == (session("t4", "carl@acme.test"), None)
    assert await sessions.find("t2", NOW + 100) is None, "its time is over"
    assert await sessions.end_all(JANE, "t3") == 1
    assert [one.token_hash for one in await sessions.sessions(NOW)] == ["t3", "t4"]
    await sessions.end("t3")
    assert await sessions.find("t3", NOW) is None
    await sessions.purge(NOW + 100)
    assert not await sessions.sessions(NOW)


async def test_after_five_failures_each_attempt_waits_longer(store: Store) -> None:
    keys, now = ["account jane", "network 192.0.2.0"], NOW
    for _ in range(5):
        assert await store.sessions.attempt(keys, now) == 0.0
    waited = []
    for _ in range(8):
        wait = await store.sessions.attempt(keys, now)
        waited.append(wait)
        now += wait
        assert await store.sessions.attempt(keys, now) == 0.0
    assert waited == [1, 2, 4, 8, 16, 32, MAX_WAIT, MAX_WAIT]
    assert await store.sessions.attempt(["account jane", "network 198.51.100.0"], now) == MAX_WAIT
    assert await store.sessions.attempt(["account carl", "network 198.51.100.0"], now) == 0.0
    assert await store.sessions.attempt(keys, now - 2 * MAX_WAIT) == 0.0, "the clock was set back"
    await store.sessions.succeeded(["account jane"])
    assert await store.sessions.attempt(["account jane"], now) == 0.0
    later = now + MEMORY + 1
    assert await store.sessions.attempt(keys, later) == 0.0
    assert await store.sessions.attempt(keys, later) == 0.0, "the failures before are forgotten"


async def test_attempts_at_one_moment_are_counted_one_by_one(store: Store) -> None:
    """Those that are counted later may have begun earlier."""
    times = [NOW - number / 1000 for number in range(20)]
    done = await asyncio.gather(*(store.sessions.attempt(["account jane"], at) for at in times))
    assert sum(one == 0.0 for one in done) == 5


async def test_a_plan_belongs_to_its_session_and_is_carried_out_once(store: Store) -> None:
    plan = Plan("p1", "t1", "queue.hold", {"filter": "gmail.test \x00"}, ("Q1/0", "Q2/1"), NOW)
    kept = Plan("p1", "t1", "queue.hold", {"filter": "gmail.test \x00"}, ("Q1/0", "Q2/1"), NOW)
    await store.sessions.keep_plan(plan)
    assert await store.sessions.plan("p1", "t2", NOW - 900) is None
    assert await store.sessions.plan("p1", "t1", NOW + 1) is None, "it is too old"
    assert await store.sessions.plan("p1", "t1", NOW - 900) == kept
    assert await store.sessions.take_plan("p1", "t2", NOW - 900) is None
    done = await asyncio.gather(*(store.sessions.take_plan("p1", "t1", NOW - 900) for _ in range(8)))
    assert [one for one in done if one] == [kept]
    await store.sessions.keep_plan(plan)
    await store.sessions.purge(NOW + 901)
    assert await store.sessions.plan("p1", "t1", 0.0) is None


async def test_the_audit_is_read_latest_first_by_pages(store: Store) -> None:
    rows = [
        Change(
            f"c{number}",
            NOW + number // 2,
            JANE if number % 2 else "carl@acme.test",
            action,
            f"s{number}",
            "a",
            "b",
            "::1",
        )
        for number, action in enumerate(("login", "queue.hold", "queue.delete", "queues", "login"))
    ]
    changes = store.changes
    await changes.record(rows)
    await changes.record(rows[:1])
    assert list(await changes.changes(ChangeQuery())) == rows[::-1]
    first = await changes.changes(ChangeQuery(limit=2))
    second = await changes.changes(ChangeQuery(limit=2, before=(first[-1].at, first[-1].id)))
    assert [one.id for one in (*first, *second)] == ["c4", "c3", "c2", "c1"]
    assert [one.id for one in await changes.changes(ChangeQuery(action="queue"))] == ["c2", "c1"]
    assert [one.id for one in await changes.changes(ChangeQuery(person=JANE, since=NOW + 1))] == ["c3"]
    assert [one.id for one in await changes.changes(ChangeQuery(subject="s2"))] == ["c2"]
    assert await changes.purge(NOW + 1) == 2
    assert [one.id for one in await changes.changes(ChangeQuery())] == ["c4", "c3", "c2"]
