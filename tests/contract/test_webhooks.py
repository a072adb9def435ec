"""The store of webhooks: cursors, pauses, replays and failures."""

from dataclasses import replace

from relay.storage.store import Store
from relay.webhooks.feed import Position
from relay.webhooks.ports import PAUSED_BY_OPERATOR, Failure
from relay.webhooks.progress import Answer, Progress, Refusals, Replay
from tests.contract.conftest import Opener
from tests.contract.values import NOW

FAILED = Failure(Position(0, 7), "evt_a", "message.open", "Q1", "a@x.test", NOW, NOW + 5, 1, 500, "oh \0 no")


async def test_a_webhook_begins_once_and_keeps_what_was_saved(opener: Opener) -> None:
    store = await opener(NOW)
    begun = await store.webhooks.begin("crm", Position(3, 4), NOW)
    assert begun.position == Position(3, 4)
    assert begun.progress == Progress()
    assert begun.replay is None
    progress = Progress(
        failures=2,
        failing_since=NOW,
        next_at=NOW + 9,
        accepted_at=NOW - 1,
        accepted=100,
        last=Answer(NOW, 503, "later"),
        refusals={"message.open": Refusals(3, NOW - 2, NOW, 400, "no", NOW)},
    )
    replay = Replay(Position(0, 1), Position(2, 9), NOW - 60, NOW)
    saved = replace(begun, position=Position(9, 8), progress=progress, current_at=NOW + 1)
    assert await store.webhooks.save(saved) == saved
    await store.webhooks.replay("crm", replay)
    assert await store.webhooks.state("crm") == replace(saved, replay=replay)
    await store.close()

    later = await opener(NOW + 1)
    assert await later.webhooks.begin("crm", Position(), NOW + 5) == replace(saved, replay=replay)
    further = replace(replay, position=Position(1, 1))
    await later.webhooks.save_replay("crm", further, None)
    await later.webhooks.save_replay("crm", replay, further)
    assert await later.webhooks.states() == [replace(saved, replay=further)]
    await later.webhooks.save_replay("crm", further, None)
    assert await later.webhooks.states() == [saved]
    assert await later.webhooks.state("other") is None


async def test_what_was_computed_before_a_resume_is_not_written_after_it(store: Store) -> None:
    begun = await store.webhooks.begin("crm", Position(0, 4), NOW)
    await store.webhooks.resume("crm", Position(0, 9))
    late = replace(begun, position=Position(0, 5), progress=Progress(failures=3, next_at=NOW + 99))
    now = await store.webhooks.save(late, failed=[FAILED])
    assert now is not None
    assert (now.position, now.progress, now.resumes) == (Position(0, 9), Progress(), 1)
    assert await store.webhooks.failures("crm", 10) == []


async def test_a_pause_lasts_until_it_is_ended_and_ends_all_waits(store: Store) -> None:
    begun = await store.webhooks.begin("crm", Position(0, 4), NOW)
    await store.webhooks.save(replace(begun, progress=Progress(failures=5, next_at=NOW + 99, accepted=3)))
    assert await store.webhooks.pause("crm", NOW, "gone (410)")
    assert not await store.webhooks.pause("crm", NOW + 1, "again")
    assert not await store.webhooks.pause("other", NOW, "x")
    (state,) = await store.webhooks.states()
    assert (state.paused_at, state.why) == (NOW, "gone (410)")

    assert await store.webhooks.resume("crm")
    (state,) = await store.webhooks.states()
    assert (state.paused_at, state.why, state.position) == (0, "", Position(0, 4))
    assert (state.progress.failures, state.progress.next_at, state.progress.accepted) == (0, 0, 3)
    assert await store.webhooks.resume("crm", Position(0, 50))
    assert (await store.webhooks.states())[0].position == Position(0, 50)
    assert not await store.webhooks.resume("other")


async def test_failures_are_due_in_time_and_go_when_they_are_done(store: Store) -> None:
    state = await store.webhooks.begin("crm", Position(), NOW)
    given_up = replace(FAILED, position=Position(0, 8), event_id="evt_b", next_at=0.0)
    await store.webhooks.save(state, failed=[FAILED, given_up])
    assert await store.webhooks.due("crm", NOW, 10) == []
    (due,) = await store.webhooks.due("crm", NOW + 5, 10)
    assert due == replace(FAILED, answer="oh ? no")
    assert await store.webhooks.waiting("crm") == 1
    assert len(await store.webhooks.failures("crm", 10)) == 2

    await store.webhooks.save(state, failed=[replace(FAILED, next_at=NOW + 60, attempts=2, status=0, answer="reset")])
    assert await store.webhooks.due("crm", NOW + 5, 10) == []
    assert await store.webhooks.retry_all("crm", NOW + 6) == 2
    assert {one.attempts for one in await store.webhooks.due("crm", NOW + 6, 10)} == {0}
    await store.webhooks.save(state, done=[FAILED.position, given_up.position])
    assert await store.webhooks.failures("crm", 10) == []


async def test_a_webhook_of_other_senders_has_nothing_of_the_former_one(store: Store) -> None:
    begun = await store.webhooks.begin("crm", Position(0, 4), NOW, "acme")
    replay = Replay(Position(0, 1), Position(2, 9), NOW - 60, NOW)
    await store.webhooks.save(replace(begun, progress=Progress(failures=2, last=Answer(NOW, 503, "hush"))), [FAILED])
    await store.webhooks.replay("crm", replay)
    await store.webhooks.pause("crm", NOW, "paused by the application acme")
    assert (await store.webhooks.begin("crm", Position(0, 9), NOW, "acme")).progress.failures == 2
    assert (await store.webhooks.begin("crm", Position(0, 9), NOW)).senders == "acme"
    assert len(await store.webhooks.failures("crm", 10)) == 1

    new = await store.webhooks.begin("crm", Position(0, 9), NOW, "beta")
    assert (new.position, new.senders, new.progress, new.replay) == (Position(0, 4), "beta", Progress(), None)
    assert (new.paused_at, new.why) == (0, "")
    assert await store.webhooks.failures("crm", 10) == []
    assert await store.webhooks.save(begun, failed=[FAILED]) == new, "what was computed for the former is not written"
    assert await store.webhooks.failures("crm", 10) == []


async def test_a_removed_webhook_leaves_no_failures_and_the_pause_of_an_operator(store: Store) -> None:
    state = await store.webhooks.begin("crm", Position(0, 4), NOW, "acme")
    await store.webhooks.save(state, failed=[FAILED])
    await store.webhooks.pause("crm", NOW, PAUSED_BY_OPERATOR)
    await store.webhooks.clear("crm")
    assert await store.webhooks.failures("crm", 10) == []
    assert (await store.webhooks.begin("crm", Position(0, 9), NOW, "acme")).why == PAUSED_BY_OPERATOR


async def test_webhooks_that_are_not_configured_are_forgotten_later(store: Store) -> None:
    for name, at in (("kept", NOW - 100), ("old", NOW - 100), ("new", NOW)):
        state = await store.webhooks.begin(name, Position(), at)
        await store.webhooks.save(state, failed=[replace(FAILED, first_at=at, next_at=0.0)])
    await store.webhooks.forget(["kept"], NOW - 50, NOW - 50)
    assert [one.name for one in await store.webhooks.states()] == ["kept", "new"]
    assert await store.webhooks.failures("kept", 10) == []
    assert len(await store.webhooks.failures("new", 10)) == 1
    assert await store.webhooks.save(replace(state, name="old"), failed=[FAILED]) is None
    assert await store.webhooks.failures("old", 10) == []
