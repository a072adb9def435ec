"""The routes of providers, with a real store behind them."""

from typing import Any

import aiohttp
import pytest

from relay.limits.ports import Slot
from relay.limits.window import windows
from relay.mail.queue_id import queue_id
from relay.queue.ports import EntryQuery
from relay.queue.routing import LanePause
from tests.unit.admin_harness import NOW, AdminHarness, admin

__all__ = ["admin"]


async def post(admin: AdminHarness, path: str, body: Any = None) -> tuple[int, Any]:
    connector = aiohttp.UnixConnector(str(admin.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as client,
        client.post(f"http://relay{path}", json=body) as answer,
    ):
        is_json = answer.content_type == "application/json"
        return answer.status, await answer.json() if is_json else await answer.text()


async def test_the_list_has_state_and_usage_of_each_provider(admin: AdminHarness) -> None:
    limits = {"provider:newsletter": windows(2, 9)}
    for number in range(3):
        await admin.store.limits.acquire(Slot(f"S{number}", 0, limits), NOW + 5)
    admin.pauses = {
        "provider:backup": LanePause(NOW + 900, "535 5.7.8 no"),
        "mx:x.test": LanePause(NOW + 900, "554 blocked"),
    }
    status, answer = await admin.ask("GET", "/providers")
    direct, newsletter, backup = answer["providers"]
    assert status == 200
    assert (direct["name"], direct["state"]) == ("direct", "ok")
    assert direct["why"] == "1 destination is paused: mx:x.test (554 blocked)"
    assert newsletter == {
        "name": "newsletter",
        "host": "smtp.one.test:587",
        "auth": "none",
        "state": "ok",
        "paused_until": None,
        "why": "",
        "hourly_limit": 2,
        "hourly_used": 2,
        "daily_limit": 9,
        "daily_used": 2,
        "waiting": 1,
        "free_at": newsletter["free_at"],
    }
    assert newsletter["free_at"].startswith("2023-11-14T23:13:25")
    assert (backup["state"], backup["paused_until"], backup["why"]) == (
        "paused",
        "2023-11-14T22:28:20.000Z",
        "535 5.7.8 no",
    )
    assert (backup["hourly_used"], backup["free_at"]) == (None, None)


async def test_an_operator_ends_a_pause(admin: AdminHarness) -> None:
    admin.pauses = {"provider:backup": LanePause(NOW + 900, "535 5.7.8 no")}
    answer = {"provider": "backup", "resumed": True, "entries": 3}
    assert await post(admin, "/providers/backup/resume") == (200, answer)
    assert (await post(admin, "/providers/backup/resume"))[1]["resumed"] is False


async def test_a_test_mail_uses_its_provider_without_fallback(admin: AdminHarness) -> None:
    status, answer = await post(
        admin, "/providers/backup/test", {"from": "billing@acme.test", "to": "you@example.test"}
    )
    assert status == 200
    assert answer == {
        "queue_id": queue_id(NOW + 10, 77),
        "provider": "backup",
        "from": "billing@acme.test",
        "to": "you@example.test",
        "lane": "provider:backup",
    }
    ((message, entry),) = await admin.store.queue.entries(EntryQuery(queue_id=answer["queue_id"]))
    assert (entry.lane, entry.notify, entry.expires_at) == ("provider:backup", ("NEVER",), NOW + 610)
    assert (message.policy.provider, message.policy.fallback_providers) == ("backup", ())
    assert (message.policy.domain, message.policy.return_path) == ("acme.test", "b.acme.test")
    assert message.metadata == {"test": "backup"}
    content = await admin.store.queue.content(answer["queue_id"])
    assert content is not None
    assert b"Subject: relay test: backup from relay.test\r\n" in content


@pytest.mark.parametrize(
    ("path", "body", "status", "expected"),
    [
        ("/providers/nobody/test", {}, 404, 'no provider "nobody"; the providers are: direct, newsletter, backup'),
        ("/providers/nobody/resume", None, 404, 'no provider "nobody"'),
        ("/providers/direct/test", {}, 400, "there is no recipient"),
        ("/providers/direct/test", {"to": "nonsense"}, 400, "nonsense"),
        ("/providers/direct/test", {"to": 5}, 400, '"to" must be an address'),
        ("/providers/direct/test", [], 400, "must be a JSON object"),
    ],
)
async def test_invalid_requests_are_answered_with_the_fault(
    admin: AdminHarness, path: str, body: Any, status: int, expected: str
) -> None:
    answered, text = await post(admin, path, body)
    assert (answered, expected in text) == (status, True), text


async def test_changed_settings_end_the_pause_of_their_provider_only(admin: AdminHarness) -> None:
    pause = LanePause(NOW + 900, "535 5.7.8 no")
    routes = admin.provider_routes(admin.store)
    before = routes.settings().replaced({"providers": routes.settings().providers[:1]})
    admin.pauses = {"provider:newsletter": pause, "provider:backup": pause, "mx:x.test": pause}
    await routes.resume_changed(before)
    assert set(admin.pauses) == {"provider:newsletter", "mx:x.test"}
