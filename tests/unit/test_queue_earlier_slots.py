"""Waiting entries over a real store: earlier slots after limits were raised, and none that must not be used."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.config.settings import Settings
from relay.limits.window import DAY, HOUR
from relay.mail.lane import lane_of
from relay.queue.earlier_slots import BATCH, SlotAdvancer
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.operator_actions import delete
from relay.queue.ports import EntryQuery
from relay.queue.routing import LanePause, ledgers_of
from relay.render.message_policy import MessagePolicy
from relay.storage.sqlite.store import SqliteStore
from relay.submission.reserve import reserve_slots
from tests.unit.queue_harness import CONTENT, NOW, Harness

STEP = DAY + 0.001
LIFETIME = 3 * DAY
NEWS = MessagePolicy(provider="news", fallback_providers=("backup",))


def limited(news: int, backup: int = 1) -> Settings:
    return Settings.model_validate(
        {
            "provider": [
                {"name": "news", "host": "127.0.0.1", "daily_limit": news},
                {"name": "backup", "host": "127.0.0.1", "daily_limit": backup},
            ],
        }
    )


class Bench:
    """A store with waiting entries, and the advancer over it. `settings` are those in force."""

    def __init__(self, store: SqliteStore, folder: Path) -> None:
        self.settings = limited(news=1)
        self.pauses: dict[str, LanePause] = {}
        self.woken = 0
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.harness = Harness(store, folder, self.settings)
        context = replace(self.harness.context, settings=lambda: self.settings)
        self.advancer = SlotAdvancer(context, store.queue, pauses=lambda: self.pauses, wake=self._wake, log=self._log)
        self.store = store

    def _wake(self) -> None:
        self.woken += 1

    def _log(self, line: Any, **fields: object) -> None:
        self.lines.append((line, fields))

    async def accept(self, number: int, policy: MessagePolicy = NEWS) -> None:
        """Enqueue a message as the submission does, with its slot."""
        queue_id = f"M00000000{number:05}"
        message = Message(queue_id, NOW, "app@acme.test", policy, header_from="app@acme.test", client="192.0.2.1")
        ledgers = {provider: ledgers_of(self.settings, message, provider) for provider in policy.providers}
        earliest = max(NOW, policy.send_at or 0.0)
        route = (await reserve_slots(self.store.limits, queue_id, [0], ledgers, earliest))[0]
        entry = Entry(
            queue_id, 0, f"u{number}@x.test", lane_of(route.provider, "x.test"), NOW, route.at + LIFETIME, route.at,
            release_at=route.at if route.at > NOW else 0.0, reason=route.why,
        )  # fmt: skip
        await self.store.queue.enqueue(NewMessage(message, CONTENT, (entry,)))

    async def shown(self) -> list[tuple[str, float]]:
        """Provider and release time of each entry, in days from now."""
        found = await self.store.queue.entries(EntryQuery(states=(State.WAITING,)))
        return [
            (one.lane.removeprefix("provider:"), round(max(one.release_at - NOW, 0.0) / STEP, 3)) for _, one in found
        ]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    bench = Bench(store, tmp_path)
    yield bench
    bench.harness.journal.close()
    await store.close()


async def test_a_raised_limit_gives_earlier_slots_in_order_of_acceptance(bench: Bench) -> None:
    alone = replace(NEWS, fallback_providers=())
    for number in range(4):
        await bench.accept(number, alone)
    assert await bench.shown() == [("news", 0), ("news", 1), ("news", 2), ("news", 3)]
    assert await bench.advancer.advance() == 0

    bench.settings = limited(news=2)
    assert await bench.advancer.advance() == 3
    assert await bench.shown() == [("news", 0), ("news", 0), ("news", 1), ("news", 1)]
    found = [entry for _, entry in await bench.store.queue.entries(EntryQuery(states=(State.WAITING,)))]
    assert [round((one.expires_at - max(one.release_at, NOW)) / DAY, 3) for one in found] == [3] * 4
    assert [one.next_attempt_at for one in found[1:]] == [one.release_at for one in found[1:]]
    assert bench.woken == 1

    bench.settings = limited(news=0)
    assert await bench.advancer.advance() == 2
    assert await bench.shown() == [("news", 0)] * 4


async def test_a_lowered_limit_moves_nothing(bench: Bench) -> None:
    bench.settings = limited(news=2)
    for number in range(5):
        await bench.accept(number, replace(NEWS, fallback_providers=()))
    before = await bench.shown()
    bench.settings = limited(news=1)
    assert await bench.advancer.advance() == 0
    assert await bench.shown() == before


async def test_the_fallback_with_more_capacity_takes_entries_that_wait(bench: Bench) -> None:
    for number in range(5):
        await bench.accept(number)
    assert await bench.shown() == [("news", 0), ("backup", 0), ("news", 1), ("backup", 1), ("news", 2)]
    bench.settings = limited(news=1, backup=3)
    assert await bench.advancer.advance() == 3
    assert await bench.shown() == [("news", 0), ("backup", 0), ("backup", 0), ("backup", 0), ("backup", 1)]
    moved = [entry.reason for _, entry in await bench.store.queue.entries(EntryQuery(states=(State.WAITING,)))][2]
    assert moved == "sent by backup: it has capacity earlier"


async def test_slots_of_deleted_mail_are_taken(bench: Bench) -> None:
    for number in range(3):
        await bench.accept(number, replace(NEWS, fallback_providers=()))
    await bench.store.queue.change(EntryQuery(queue_id="M0000000000001"), delete(NOW))
    await bench.store.limits.release("M0000000000001", [0])
    assert await bench.advancer.advance() == 1
    assert await bench.shown() == [("news", 0), ("news", 1)]


async def test_no_mail_leaves_before_the_time_its_application_gave(bench: Bench) -> None:
    later = replace(NEWS, fallback_providers=(), send_at=NOW + HOUR)
    for number, policy in enumerate([later, later, replace(later, send_at=None)]):
        await bench.accept(number, policy)
    bench.settings = limited(news=0)
    assert await bench.advancer.advance() == 1
    found = [entry for _, entry in await bench.store.queue.entries(EntryQuery(states=(State.WAITING,)))]
    assert [one.release_at for one in found][:2] == [NOW + HOUR] * 2
    assert found[2].release_at > NOW + 2 * DAY - HOUR, "an earlier version did not record the time"


async def test_paused_and_removed_providers_get_nothing(bench: Bench) -> None:
    for number in range(4):
        await bench.accept(number)
    before = await bench.shown()
    bench.settings = limited(news=5, backup=1)
    bench.pauses = {"provider:news": LanePause(NOW + HOUR, "535 no")}
    assert await bench.advancer.advance() == 0
    assert await bench.shown() == before
    bench.pauses.clear()
    assert await bench.advancer.advance() == 2


async def test_more_entries_than_one_page(bench: Bench) -> None:
    bench.settings = limited(news=BATCH)
    alone = replace(NEWS, fallback_providers=())
    for number in range(2 * BATCH + 5):
        await bench.accept(number, alone)
    bench.settings = limited(news=0)
    assert await bench.advancer.advance() == BATCH + 5
    assert {at for _, at in await bench.shown()} == {0}


async def test_a_store_that_fails_delays_it_and_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.queue.context.STORE_RETRY", 0.0)
    for number in range(2):
        await bench.accept(number, replace(NEWS, fallback_providers=()))
    bench.settings = limited(news=0)
    bench.harness.flaky_store.failures["advance"] = 1
    assert await bench.advancer.advance() == 1
    assert bench.harness.store_errors
    assert await bench.shown() == [("news", 0)] * 2
