"""The routes of identities, over a real store and an HTTP server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from relay.admin.identities import IdentityRoutes
from relay.admin.identity_pauses import IdentityPauseRoutes
from relay.admin.server import AdminServer
from relay.config.settings import Settings
from relay.limits.ports import Slot
from relay.limits.window import windows
from relay.listening_sockets import listen_unix
from relay.queue.pause import Pause, identity_subject
from relay.storage.sqlite.store import SqliteStore
from relay.verification.model import Verification
from tests.servers.verification_harness import VerificationHarness

NOW = 1_800_000_000.0

JANE = "jane@acme.test"

SETTINGS = Settings.model_validate(
    {
        "identities": {JANE: {"hourly_limit": 2, "daily_limit": 9, "company": "Acme"}, "bob@acme.test": {}},
        "domains": {"acme.test": {"reply_domain": "reply.acme.test"}},
    }
)


class IdentityApi:
    def __init__(self, store: SqliteStore, socket: Path) -> None:
        self.store = store
        self.harness = VerificationHarness(store, SETTINGS, lambda: NOW)
        self.socket = socket
        self.pauses: dict[str, Pause] = {}
        app = web.Application()
        app.add_routes(IdentityRoutes(self.harness.verifier, store.limits, lambda: self.pauses).table())
        pausing = IdentityPauseRoutes(
            settings=lambda: SETTINGS,
            pause=self.pause,
            resume=self.resume,
            resume_of_application=self.resume,
            pauses=lambda: self.pauses,
        )
        app.add_routes(pausing.table())
        self.server = AdminServer(app)

    async def pause(self, address: str, cause: str, why: str) -> bool:
        is_new = address not in self.pauses
        self.pauses.setdefault(address, Pause(identity_subject(address), NOW, 0.0, why, cause))
        return is_new

    async def resume(self, address: str) -> int | None:
        return None if self.pauses.pop(address, None) is None else 7

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.socket))) as client,
            client.request(method, f"http://relay{path}", json=body) as answer,
        ):
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else await answer.text()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[IdentityApi]:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    api = IdentityApi(store, tmp_path / "admin.sock")
    await api.server.start_unix(listen_unix(api.socket))
    yield api
    await api.server.stop()
    await store.close()


async def test_the_list_has_limits_usage_and_steps_of_configured_and_tested_addresses(api: IdentityApi) -> None:
    limits = {f"identity:{JANE}": windows(2, 9)}
    for number in range(2):
        assert await api.store.limits.acquire(Slot("Q1", number, limits), NOW - 10) == NOW - 10
    await api.harness.table.verify(Verification(JANE, "sending", "passed", NOW - 5, "taken", "Q1"))
    await api.harness.table.verify(Verification("x@other.test", "sender", "passed", NOW))
    await api.harness.table.verify(Verification("acme.test", "dns", "failed", NOW))
    await api.harness.proven.load()
    status, answer = await api.ask("GET", "/identities")
    assert status == 200
    jane, bob, other = answer["identities"]
    assert (jane["address"], jane["used_hour"], jane["used_day"], jane["hourly_limit"]) == (JANE, 2, 2, 2)
    assert jane["next_release_at"] == "2027-01-15T08:59:50.001Z"
    assert jane["steps"] == [
        {"step": "sending", "state": "passed", "at": "2027-01-15T07:59:55.000Z", "detail": "taken"}
    ]
    assert jane["cc_address"].endswith("@reply.acme.test")
    assert (bob["address"], bob["used_hour"], bob["next_release_at"], bob["verified"]) == (
        "bob@acme.test",
        0,
        None,
        False,
    )
    assert (other["address"], other["listed"], other["verified"], other["verified_by"]) == (
        "x@other.test",
        False,
        True,
        "mail",
    )
    assert (await api.ask("GET", f"/identities/{JANE.upper()}"))[1] == jane
    assert await api.ask("GET", "/identities/no@acme.test") == (
        404,
        "no@acme.test is not an identity; add it with: relay identity add no@acme.test",
    )


async def test_codes_are_sent_and_entered(api: IdentityApi) -> None:
    status, answer = await api.ask("POST", f"/identities/{JANE}/test/receiving")
    assert (status, answer["state"]) == (200, "pending")
    status, answer = await api.ask("POST", f"/identities/{JANE}/code", {"code": "000001"})
    assert (status, answer["state"], answer["verdict"]) == (200, "passed", "")
    for step in ("sending", "tracking"):
        await api.harness.table.verify(Verification(JANE, step, "passed", NOW))
    await api.ask("POST", f"/identities/{JANE}/test/receiving")
    _, answer = await api.ask("POST", f"/identities/{JANE}/code", {"code": "000002"})
    assert answer["verdict"] == "Email identity seems to be correctly set up"


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/identities/jane/test/receiving", None, "not a mail address"),
        (f"/identities/{JANE}/code", {"code": "12345"}, "6 digits"),
        (f"/identities/{JANE}/code", {"code": 123456}, "6 digits"),
        (f"/identities/{JANE}/code", ["123456"], "JSON object"),
        (f"/identities/{JANE}/test/sending", {"to": "x@y.test"}, "list of addresses"),
        (f"/identities/{JANE}/test/sending", {"to": ["x"]}, "not a mail address"),
    ],
)
async def test_invalid_requests_are_answered_with_the_fault(
    api: IdentityApi, path: str, body: object, expected: str
) -> None:
    status, answer = await api.ask("POST", path, body)
    assert (status, expected in answer) == (400, True), answer
    assert (await api.ask("POST", f"/identities/{JANE}/test/nothing"))[0] == 404


async def test_an_operator_pauses_and_resumes_an_identity(api: IdentityApi) -> None:
    path = f"/identities/{JANE.upper()}"
    assert await api.ask("POST", f"{path}/pause", {"reason": "a leak"}) == (200, {"address": JANE, "paused": True})
    assert await api.ask("POST", f"{path}/pause") == (200, {"address": JANE, "paused": False})
    _, shown = await api.ask("GET", path)
    assert (shown["paused_since"], shown["paused_because"]) == (
        "2027-01-15T08:00:00.000Z",
        "an operator paused it: a leak",
    )
    assert api.pauses[JANE].category == "operator"
    resumed = {"address": JANE, "resumed": True, "entries": 7}
    assert await api.ask("POST", f"{path}/resume") == (200, resumed)
    assert (await api.ask("POST", f"{path}/resume"))[1] == {"address": JANE, "resumed": False, "entries": 0}
    _, shown = await api.ask("GET", path)
    assert (shown["paused_since"], shown["paused_because"]) == (None, "")


@pytest.mark.parametrize(
    ("address", "body", "status", "expected"),
    [
        ("no@acme.test", {}, 404, "no@acme.test is not an identity"),
        ("nonsense", {}, 400, "nonsense"),
        (JANE, {"reason": 5}, 400, '"reason" must be one line'),
        (JANE, {"reason": "two\nlines"}, 400, '"reason" must be one line'),
        (JANE, {"reason": "x" * 201}, 400, "at most 200 characters"),
    ],
)
async def test_invalid_pauses_are_refused(
    api: IdentityApi, address: str, body: object, status: int, expected: str
) -> None:
    answered, text = await api.ask("POST", f"/identities/{address}/pause", body)
    assert (answered, expected in text) == (status, True), text
    assert not api.pauses
