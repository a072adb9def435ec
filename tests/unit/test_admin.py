"""The admin API over its Unix socket, with a real store behind it."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.admin.server import AdminServer, metrics_application
from relay.events.event import Event, Kind
from relay.limits.ports import Slot
from relay.limits.window import Window
from relay.listening_sockets import listen_unix
from relay.reports.ports import MessageQuery
from relay.storage.postgres.store import PostgresStore
from tests.unit.admin_harness import FIRST, NOW, SECOND, AdminHarness, admin, exposition, fill

__all__ = ["admin"]


def _place(event: Event) -> tuple[str, int]:
    return event.queue_id, event.number


async def listed(admin: AdminHarness, path: str) -> list[tuple[str, str, str]]:
    status, answer = await admin.ask("GET", path)
    assert status == 200, answer
    return [(one["queue_id"], one["recipient"], one["state"]) for one in answer["entries"]]


async def test_only_the_user_of_the_relay_may_open_the_socket(admin: AdminHarness) -> None:
    assert stat.S_IMODE(admin.socket.stat().st_mode) == 0o600


async def test_the_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "admin.sock").write_bytes(b"")
    server = AdminServer(metrics_application(exposition, dict))
    await server.start_unix(listen_unix(tmp_path / "admin.sock"))
    assert stat.S_ISSOCK((tmp_path / "admin.sock").stat().st_mode)
    await server.stop()


async def test_the_queue_is_listed_and_filtered(admin: AdminHarness) -> None:
    everything = [(FIRST, "a@x.test", "waiting"), (FIRST, "b@y.test", "waiting"), (SECOND, "a@x.test", "waiting")]
    assert await listed(admin, "/queue") == everything
    assert await listed(admin, f"/queue?queue_id={SECOND.lower()}") == everything[2:]
    assert await listed(admin, "/queue?recipient=A@X.test") == [everything[0], everything[2]]
    assert await listed(admin, "/queue?lane=mx:y.test") == everything[1:2]
    assert await listed(admin, "/queue?domain=other.test") == []
    assert await listed(admin, "/queue?identity=app@acme.test&limit=1") == everything[:1]
    assert await listed(admin, f"/queue?after={FIRST}/0") == everything[1:]
    assert await listed(admin, "/queue?state=held,delivered") == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("colour=red", "unknown parameter colour"),
        ("state=lost", "'lost' is not a valid State"),
        ("limit=many", "limit must be a number from 1 to 10000"),
        ("limit=-1", "limit must be a number from 1 to 10000"),
        ("limit=0", "limit must be a number from 1 to 10000"),
        (f"limit={'9' * 5000}", "limit must be a number from 1 to 10000"),
        (f"after={FIRST}/x", "after must be QUEUE-ID/NUMBER"),
        (f"after={FIRST}/{2**63}", "after must be QUEUE-ID/NUMBER"),
    ],
)
async def test_invalid_queries_get_400(admin: AdminHarness, query: str, expected: str) -> None:
    assert await admin.ask("GET", f"/queue?{query}") == (400, expected)
    assert (await admin.ask("POST", f"/queue/delete?{query}"))[0] == 400
    assert len(await listed(admin, "/queue")) == 3


async def test_entries_are_held_and_released(admin: AdminHarness) -> None:
    status, answer = await admin.ask("POST", f"/queue/hold?queue_id={FIRST}")
    assert (status, [one["state"] for one in answer["entries"]]) == (200, ["held", "held"])
    assert [state for *_, state in await listed(admin, "/queue")] == ["held", "held", "waiting"]
    _, answer = await admin.ask("POST", "/queue/release?recipient=b@y.test")
    assert [(one["recipient"], one["next_attempt_at"]) for one in answer["entries"]] == [
        ("b@y.test", "2023-11-14T22:13:30.000Z")
    ]
    assert admin.wakes == 2


async def test_a_change_beyond_the_limit_names_the_next_page(admin: AdminHarness) -> None:
    _, answer = await admin.ask("POST", "/queue/hold?limit=2")
    assert ([one["queue_id"] for one in answer["entries"]], answer["next"]) == ([FIRST, FIRST], f"{FIRST}/1")
    _, answer = await admin.ask("POST", f"/queue/hold?limit=2&after={answer['next']}")
    assert ([one["queue_id"] for one in answer["entries"]], answer["next"]) == ([SECOND], None)


async def test_a_flush_makes_entries_due_now(admin: AdminHarness) -> None:
    _, answer = await admin.ask("POST", "/queue/flush?lane=mx:x.test")
    assert [one["next_attempt_at"] for one in answer["entries"]] == ["2023-11-14T22:13:30.000Z"] * 2


async def test_delete_is_in_the_timeline_and_releases_the_slots(admin: AdminHarness) -> None:
    slots = [Slot(name, 0, {"identity:app@acme.test": (Window(1, 3600.0),)}) for name in (FIRST, SECOND, "later")]
    assert list(await admin.store.limits.reserve(slots[:1], [NOW])) == [NOW]
    _, answer = await admin.ask("POST", f"/queue/delete?queue_id={FIRST}")
    assert [one["status"] for one in answer["entries"]] == ["dropped", "dropped"]
    assert list(await admin.store.limits.reserve(slots[1:2], [NOW])) == [NOW]
    _, answer = await admin.ask("GET", f"/trace/{FIRST}")
    (story,) = answer["stories"]
    assert [event["event"] for event in story["events"]] == ["created", "created", "dropped", "dropped"]
    assert story["recipients"][0]["reason"] == "cancelled by the operator"


async def test_deletions_are_published_as_they_are_stored(admin: AdminHarness) -> None:
    await admin.ask("POST", "/queue/hold?lane=mx:y.test")
    assert admin.published == []
    await admin.ask("POST", "/queue/delete")
    stories = await admin.store.reports.stories(MessageQuery())
    stored = [event for story in stories for event in story.events if event.kind is Kind.DROPPED]
    assert len(admin.published) == 3
    assert sorted(admin.published, key=_place) == sorted(stored, key=_place)
    await admin.ask("POST", "/queue/delete")
    assert len(admin.published) == 3, "nothing was left to delete"


async def test_a_delete_releases_all_slots_in_one_transaction(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await PostgresStore.open(postgres, tmp_path, now=NOW)
    await fill(store)
    limits = {"identity:app@acme.test": (Window(3, 3600.0),)}
    slots = [Slot(name, number, limits) for name, number in ((FIRST, 0), (FIRST, 1), (SECOND, 0))]
    await store.limits.reserve(slots, [NOW + 60] * 3)
    admin = AdminHarness(store, tmp_path / "admin.sock")
    await admin.server.start_unix(listen_unix(admin.socket))

    transactions: list[object] = []
    run = store._ledgers._link.run

    async def counted(function: Callable[[Any], Any]) -> Any:
        transactions.append(function)
        return await run(function)

    monkeypatch.setattr(store._ledgers._link, "run", counted)
    _, answer = await admin.ask("POST", "/queue/delete")
    assert (len(answer["entries"]), len(transactions)) == (3, 1)
    usage = await store.limits.usage(limits, NOW)
    assert usage["identity:app@acme.test"].waiting == 0
    await admin.server.stop()
    await store.close()


async def test_one_message_is_shown_with_its_header(admin: AdminHarness) -> None:
    status, answer = await admin.ask("GET", f"/queue/{FIRST}")
    assert status == 200
    assert answer["queue_id"] == FIRST
    assert answer["header"] == "From: app@acme.test\r\nSubject: gr\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}e"
    assert [one["recipient"] for one in answer["recipients"]] == ["a@x.test", "b@y.test"]
    assert await admin.ask("GET", "/queue/NOTHING") == (404, "there is no message NOTHING")


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (FIRST, [FIRST]),
        (FIRST.lower(), [FIRST]),
        ("<1@acme.test>", [SECOND]),
        ("a@x.test", [SECOND, FIRST]),
        ("B@Y.TEST", [FIRST]),
        ("nobody@x.test", []),
        ("a%2Fb@x.test", []),
    ],
)
async def test_trace_finds_by_queue_id_message_id_or_recipient(admin: AdminHarness, key: str, found: list[str]) -> None:
    status, answer = await admin.ask("GET", f"/trace/{key}")
    assert (status, [one["queue_id"] for one in answer["stories"]]) == (200, found)


async def test_a_long_timeline_comes_in_pages(admin: AdminHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.admin.queue.EVENTS", 10)
    opened = [Event(Kind.OPEN, NOW + number // 3, FIRST, 0) for number in range(25)]
    await admin.store.events.record(opened)
    _, answer = await admin.ask("GET", f"/trace/{FIRST}")
    total, pages, places = [*answer["stories"][0]["events"]], 1, [answer["stories"][0]["next_events"]]
    while places[-1]:
        _, answer = await admin.ask("GET", f"/trace/{FIRST}?after={places[-1]}")
        (story,) = answer["stories"]
        assert story["queue_id"] == FIRST
        total += story["events"]
        places.append(story["next_events"])
        pages += 1
    kinds = [event["event"] for event in total]
    assert kinds.count("open") == 25
    assert pages == (len(total) + 9) // 10
    assert total == sorted(total, key=lambda event: event["at"])

    (status, shown) = await admin.ask("GET", f"/queue/{FIRST}")
    assert (status, len(shown["events"]), shown["next_events"]) == (200, 10, places[0])
    for wrong in ("x", "1/x", "nan/1", "1e999/1", "1/-1", "/"):
        assert (await admin.ask("GET", f"/trace/{FIRST}?after={wrong}"))[0] == 400


async def test_a_reload_returns_its_faults(admin: AdminHarness) -> None:
    assert await admin.ask("POST", "/reload") == (200, admin.reloaded)
    admin.reloaded = {"faults": ["relay.toml:1: nonsense"]}
    assert await admin.ask("POST", "/reload") == (409, admin.reloaded)
    assert (await admin.ask("GET", "/reload"))[0] == 405


async def test_status_and_metrics_are_served(admin: AdminHarness) -> None:
    assert await admin.ask("GET", "/status") == (200, {"version": "1", "healthy": True, "queue": {}})
    assert await admin.ask("GET", "/metrics") == (200, "relay_up 1\n")


async def test_the_metrics_listener_answers_nothing_else(tmp_path: Path) -> None:
    server = AdminServer(metrics_application(exposition, dict))
    await server.start_unix(listen_unix(tmp_path / "metrics.sock"))
    connector = aiohttp.UnixConnector(str(tmp_path / "metrics.sock"))
    async with aiohttp.ClientSession(connector=connector) as client:
        for path, status in (("/metrics", 200), ("/queue", 404), ("/reload", 404)):
            async with client.get(f"http://relay{path}") as answer:
                assert answer.status == status
    await server.stop()
