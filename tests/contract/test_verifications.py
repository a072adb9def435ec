"""What every store does with verifications: one row a step, challenges changed one after another."""

import asyncio
from dataclasses import replace

from relay.limits.quota import Quota, TooMany
from relay.storage.store import Store
from relay.verification.challenge import Answer, Challenge, Confirmed, digest_of, try_code
from relay.verification.model import Decision, Verification, is_proven
from tests.contract.conftest import Opener
from tests.contract.values import NOW

JANE = "jane@acme.test"

SENDING = Verification(JANE, "sending", "passed", NOW, "taken by mx.test", "Q1")

SENDER = Verification(JANE, "sender", "passed", NOW, "by mail")

KEY = b"k" * 32

CHALLENGE = Challenge(JANE, "owner@acme.test", "5a17", digest_of(KEY, "5a17", "123456"), "Q1", (NOW - 60, NOW))


async def test_a_step_has_one_state(store: Store) -> None:
    table = store.verifications
    assert await table.find() == []
    await table.verify(SENDING)
    await table.verify(Verification("acme.test", "dns", "failed", NOW))
    failed = replace(SENDING, state="failed", at=NOW + 1, detail="refused \udcff\0\u00e9", queue_id="Q2")
    await table.verify(failed)
    assert await table.find(JANE) == [replace(failed, detail="refused ?\u00e9")]
    assert [one.subject for one in await table.find()] == ["acme.test", JANE]


async def test_what_is_proven_are_confirmed_addresses_and_domains_with_right_dns(store: Store) -> None:
    table = store.verifications
    await table.verify(SENDING)
    await table.verify(replace(SENDER, state="pending"))
    assert await table.proven() == frozenset()
    await table.verify(SENDER)
    await table.verify(Verification("other.test", "dns", "passed", NOW))
    proven = await table.proven()
    assert proven == {JANE, "other.test"}
    assert is_proven(proven, "Jane@ACME.test")
    assert is_proven(proven, "anybody@Other.test")
    assert not is_proven(proven, "john@acme.test")
    assert not is_proven(proven, "")


async def test_a_challenge_is_kept_whole_and_found_by_its_mail(opener: Opener) -> None:
    store = await opener(NOW)
    table = store.verifications
    assert await table.challenge_by("Q1") is None
    assert await table.decide(JANE, lambda before: Decision(CHALLENGE, (), before)) is None
    await store.close()
    table = (await opener(NOW)).verifications
    assert await table.challenge_by("Q1") == CHALLENGE
    assert await table.decide(JANE, lambda before: Decision(before, (), before)) == CHALLENGE


async def test_a_right_code_is_taken_once_with_what_it_proves(store: Store) -> None:
    table = store.verifications
    await table.decide(JANE, lambda _: Decision(CHALLENGE, (), None))

    def enter(before: Challenge | None) -> Decision[Answer]:
        after, answer = try_code(before, KEY, "123456", NOW + 1)
        return Decision(after, (SENDER,) if isinstance(answer, Confirmed) else (), answer)

    answers = await asyncio.gather(*(table.decide(JANE, enter) for _ in range(4)))
    assert [isinstance(one, Confirmed) for one in answers].count(True) == 1
    assert await table.proven() == {JANE}


async def test_every_wrong_try_counts(store: Store) -> None:
    table = store.verifications
    await table.decide(JANE, lambda _: Decision(CHALLENGE, (), None))

    def enter(before: Challenge | None) -> Decision[Answer]:
        after, answer = try_code(before, KEY, "000000", NOW + 1)
        return Decision(after, (), answer)

    await asyncio.gather(*(table.decide(JANE, enter) for _ in range(4)))
    left = await table.challenge_by("Q1")
    assert left is not None
    assert left.tries == 4


async def test_copies_of_test_mails_are_forgotten_in_time(store: Store) -> None:
    table = store.verifications
    await table.verify(Verification("Q1", "copy", "passed", NOW))
    await table.verify(Verification("Q2", "copy", "passed", NOW + 10))
    await table.verify(SENDING)
    await table.forget_copies(NOW + 10)
    assert [(one.subject, one.step) for one in await table.find()] == [("Q2", "copy"), (JANE, "sending")]


CLIENT, ADDRESS = Quota("client", 4), Quota("address", 2)


async def test_a_quota_holds_for_requests_at_once(store: Store) -> None:
    table = store.verifications
    answers = await asyncio.gather(*(table.spend([CLIENT], NOW) for _ in range(7)))
    assert sorted(map(str, answers)) == ["None"] * 4 + [str(TooMany(NOW + 3600))] * 3
    assert await table.spend([CLIENT], NOW + 3599) == TooMany(NOW + 3600)
    assert await table.spend([CLIENT], NOW + 3600) is None


async def test_a_request_counts_in_all_quotas_or_in_none(store: Store) -> None:
    table = store.verifications
    for seconds in range(2):
        assert await table.spend([CLIENT, ADDRESS], NOW + seconds) is None
    assert await table.spend([CLIENT, ADDRESS], NOW + 2) == TooMany(NOW + 3600)
    assert await table.spend([ADDRESS, CLIENT], NOW + 2) == TooMany(NOW + 3600)
    for _ in range(2):
        assert await table.spend([CLIENT], NOW + 2) is None
    assert await table.spend([CLIENT], NOW + 2) == TooMany(NOW + 3600)


async def test_quotas_outlive_a_restart_and_are_forgotten_after_a_day(opener: Opener) -> None:
    store = await opener(NOW)
    assert await store.verifications.spend([Quota("client", 1)], NOW) is None
    await store.close()
    store = await opener(NOW)
    assert await store.verifications.spend([Quota("client", 1)], NOW + 1) == TooMany(NOW + 3600)
    assert await store.verifications.spend([Quota("other", 1)], NOW + 86401) is None
    sql = "SELECT subject FROM quotas"
    assert await store.database.read(lambda raw: [row[0] for row in raw.execute(sql)]) == ["other"]


async def test_nothing_is_decided_when_a_quota_is_used_up(store: Store) -> None:
    table = store.verifications
    await table.decide(JANE, lambda _: Decision(CHALLENGE, (), None))

    def enter(before: Challenge | None) -> Decision[Answer]:
        after, answer = try_code(before, KEY, "000000", NOW + 1)
        return Decision(after, (), answer)

    async def request() -> Answer | TooMany:
        return await table.decide_within([ADDRESS], NOW, JANE, enter)

    answers = await asyncio.gather(*(request() for _ in range(4)))
    assert [isinstance(one, TooMany) for one in answers].count(True) == 2
    left = await table.challenge_by("Q1")
    assert left is not None
    assert left.tries == 2
