"""Settings of identities by a key: made, changed, removed, what it may not choose; and keys of its own credentials."""

import asyncio

import pytest

from tests.integration.own_settings import World, put, settings_of, world
from tests.servers.api_client import ApiClient

__all__ = ["world"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_identity_is_made_changed_and_removed_by_a_key(world: World) -> None:
    path = settings_of("jane@acme.test")
    made = await put(world.acme, path, {"display_name": "Jane Doe", "daily_limit": 50})
    assert (made.status, made.json["created"]) == (200, True), made.json
    assert made.json["settings"] == {"display_name": "Jane Doe", "daily_limit": 50}
    assert (await world.acme.get("/identities/jane@acme.test")).json["daily_limit"] == 50, "it is in force"
    sent = {"from": "jane@acme.test", "to": ["ada@reader.test"], "subject": "Hi", "text": "Hi"}
    assert (await world.acme.post("/messages", sent)).status == 202

    shown = await world.acme.get(path)
    assert (shown.json["settings"], shown.json["changeable"]) == (made.json["settings"], True)
    assert shown.headers["ETag"] == f'"{shown.json["version"]}"'
    changed = await put(world.acme, path, {"display_name": "Jane"}, If_Match=shown.headers["ETag"])
    assert (changed.status, changed.json["created"], changed.json["settings"]) == (200, False, {"display_name": "Jane"})
    late = await put(world.acme, path, {"display_name": "John"}, If_Match=shown.headers["ETag"])
    assert (late.status, changed.json["version"] in late.json["detail"]) == (412, True), late.json
    assert (await put(world.acme, path, {}, If_None_Match="*")).status == 412

    again = await put(world.acme, path, {"display_name": "Jane"})
    assert (again.status, again.json["version"]) == (200, changed.json["version"]), "a repetition changes nothing"
    removed = await world.acme.request("DELETE", path)
    assert removed.json == {"address": "jane@acme.test", "removed": True, "opened": []}
    assert (await world.acme.get(path)).status == (await world.acme.request("DELETE", path)).status == 404
    assert await world.audit("jane@acme.test") == [
        ("key acme", "identity.new", "", 'display_name = "Jane Doe", daily_limit = 50'),
        (
            "key acme",
            "identity.change",
            'display_name = "Jane Doe", daily_limit = 50',
            'display_name = "Jane"',
        ),
        ("key acme", "identity.remove", 'display_name = "Jane"', "removed"),
    ]


async def test_the_command_changes_what_the_api_made(world: World) -> None:
    assert (await put(world.acme, settings_of("both@acme.test"), {"company": "Acme"})).status == 200
    assert "Acme" in await world.relay.run("identity", "show", "both@acme.test")
    await world.relay.run("identity", "remove", "both@acme.test", "--reload")
    assert (await world.acme.get(settings_of("both@acme.test"))).status == 404


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({"daily_limit": 500}, 403, "Allowed: 1 to 200"),
        ({"hourly_limit": 0}, 403, "no limit"),
        ({"provider": "spare"}, 403, "You cannot choose spare. Allowed: sink, own"),
        ({"credentials": ["news"]}, 403, "credentials with domains that are all yours"),
        ({"provider": "unknown"}, 403, "You cannot choose unknown"),
        ({"forward_to": ["no address"]}, 422, "is not a mail address"),
        ({"daily_limit": -1}, 422, "daily_limit"),
        ({"display": "Jane"}, 422, "display: is unknown; known are bcc, cc_forward, company"),
        ({"display_name": None}, 422, "display_name"),
    ],
)
async def test_what_a_restricted_key_may_not_choose_is_refused_with_what_it_may(
    world: World, body: dict[str, object], status: int, problem: str
) -> None:
    path = settings_of("never@acme.test")
    refused = await put(world.acme, path, body)
    assert (refused.status, problem in refused.json["detail"]) == (status, True), refused.json
    assert (await world.acme.get(path)).status == 404


async def test_a_fault_of_the_values_names_its_key(world: World) -> None:
    unknown = await put(world.all, settings_of("fault@acme.test"), {"provider": "unknown"})
    assert (unknown.status, 'identities."fault@acme.test".provider' in unknown.json["detail"]) == (400, True)
    assert unknown.json["detail"].endswith("Allowed: direct, sink, spare, own. Did you mean own?"), unknown.json
    assert str(world.relay.folder) not in unknown.json["detail"]


async def test_a_key_that_an_identity_names_keeps_its_bound(world: World) -> None:
    path = settings_of("news@acme.test")
    assert (await put(world.all, path, {"credentials": ["news"], "sandbox": True})).status == 200
    changed = await put(world.news, path, {"company": "News"})
    assert changed.json["settings"] == {"company": "News", "credentials": ["news"], "sandbox": True}
    for body, problem in (
        ({"credentials": []}, "cannot add or remove news"),
        ({"credentials": ["news", "all"]}, "cannot add or remove all"),
        ({"sandbox": False}, "cannot end the sandbox"),
    ):
        refused = await put(world.news, path, body)
        assert (refused.status, problem in refused.json["detail"]) == (403, True), refused.json
    assert (await world.news.request("DELETE", path)).status == 403
    assert (await put(world.news, settings_of("other@acme.test"), {})).status == 404
    refused = await put(world.all, path, {"credentials": []})
    assert (refused.status, "no other identity would name it" in refused.json["detail"]) == (403, True)
    removed = await world.all.request("DELETE", path)
    assert removed.json["opened"] == ["news"]


@pytest.mark.parametrize("path", ["/identities/copied@acme.test/settings", "/domains/copied.test/settings"])
async def test_copies_end_only_when_they_are_named(world: World, path: str) -> None:
    archive = ["archive@acme.test"]
    assert (await put(world.all, path, {"bcc": archive})).status == 200
    changed = await put(world.all, path, {"provider": "own"})
    assert changed.json["settings"] == {"provider": "own", "bcc": archive}, changed.json
    other = await put(world.all, path, {"provider": "own", "bcc": ["other@acme.test"]})
    assert other.json["settings"]["bcc"] == ["other@acme.test"]
    ended = await put(world.all, path, {"provider": "own", "bcc": []})
    assert ended.json["settings"] == {"provider": "own", "bcc": []}
    last = (await world.audit(path.split("/")[2]))[-1]
    assert ("other@acme.test" in last[2], "other@acme.test" in last[3]) == (True, False), "the audit has who got copies"


async def test_a_sandbox_ends_by_no_removal(world: World) -> None:
    path = settings_of("boxed@acme.test")
    assert (await put(world.all, path, {"sandbox": True})).status == 200
    refused = await world.acme.request("DELETE", path)
    assert (refused.status, "cannot end the sandbox" in refused.json["detail"]) == (403, True), refused.json
    assert (await world.all.request("DELETE", path)).status == 200


async def test_an_identity_that_an_operator_paused_stays(world: World) -> None:
    path = settings_of("paused@acme.test")
    assert (await put(world.acme, path, {})).status == 200
    await world.relay.run("identity", "pause", "paused@acme.test", "--reason", "complaints")
    refused = await world.acme.request("DELETE", path)
    assert (refused.status, "complaints; an operator must resume it" in refused.json["detail"]) == (403, True)
    assert (await world.all.request("DELETE", path)).status == 200


async def test_what_an_operator_wrote_by_hand_is_changed_by_hand(world: World) -> None:
    path = settings_of("hand@acme.test")
    assert (await world.acme.get(path)).json["changeable"] is False
    for method, body in (("PUT", {"company": "Acme"}), ("DELETE", None)):
        refused = await world.acme.request(method, path, body)
        assert (refused.status, "change it there" in refused.json["detail"]) == (409, True), refused.json


async def test_a_restricted_key_makes_identities_up_to_a_limit(world: World) -> None:
    def own(rows: list[dict[str, str]]) -> int:
        return sum(one["address"].endswith(("@acme.test", "@new.test")) for one in rows)

    present = own((await world.all.get("/identities")).json["identities"])
    paths = [settings_of(f"many{number}@acme.test") for number in range(14)]
    answers = await asyncio.gather(*(put(world.acme, path, {}) for path in paths))
    assert [one.status for one in answers].count(200) == 12 - present
    refused = next(one for one in answers if one.status != 200)
    assert (refused.status, refused.headers["Content-Type"]) == (409, "application/problem+json; charset=utf-8")
    assert "12 identities of your senders, the most that are allowed (api.max_identities)" in refused.json["detail"]
    assert own((await world.all.get("/identities")).json["identities"]) == 12

    first = next(path for path, one in zip(paths, answers, strict=True) if one.status == 200)
    await world.acme.request("DELETE", first)
    again = await asyncio.gather(*(put(world.acme, first, {}) for _ in range(3)))
    assert [one.status for one in again] == [200] * 3, "repetitions of the last one that is allowed"

    made = next(path for path, one in zip(paths, answers, strict=True) if one.status == 200)
    assert (await put(world.acme, made, {"company": "Acme"})).status == 200, "a change makes none"
    assert (await put(world.all, settings_of("more@acme.test"), {})).status == 200, "a key without restriction"
    for path in (*paths, settings_of("more@acme.test")):
        await world.all.request("DELETE", path)


async def test_an_address_comes_from_a_name(world: World) -> None:
    refused = await world.all.get("/identity-address?name=Jane+Doe")
    assert (refused.status, "server.identities_domain" in refused.json["detail"]) == (409, True)
    for query in ("", "?name=", "?name=%20", f"?name={'x' * 201}"):
        assert (await world.all.get(f"/identity-address{query}")).status == 400, query


async def test_keys_of_the_own_credentials_are_listed_and_revoked(world: World) -> None:
    async def listed(client: ApiClient) -> list[tuple[str, bool]]:
        rows = (await client.get("/credentials")).json["keys"]
        return [(one["credential"], one["revoked_at"] is not None) for one in rows]

    assert await listed(world.acme) == [("acme", False), ("leaked", False), ("reader", False)]
    own = settings_of("own@acme.test")
    assert (await put(world.all, own, {"credentials": ["news"]})).status == 200
    assert await listed(world.news) == [("news", False)]
    await world.all.request("DELETE", own)
    assert ("all", False) in await listed(world.all)
    for body, status, problem in (
        ({"credential": "all"}, 404, "there is no credential 'all'; configured: acme, leaked, reader"),
        ({"credential": "leaked", "key": "0123"}, 404, "leaked has no key '0123'"),
        ({}, 422, "credential: is missing"),
    ):
        refused = await world.acme.post("/credentials/revoke", body)
        assert (refused.status, problem in refused.json["detail"]) == (status, True), refused.json
    leaked = ApiClient(world.acme.port, "leaked:other")
    assert (await leaked.get("/credentials")).status == 200
    for _ in range(2):
        (row,) = (await world.acme.post("/credentials/revoke", {"credential": "leaked"})).json["keys"]
        assert (row["credential"], row["revoked_at"] is not None) == ("leaked", True), "a repetition changes nothing"
    assert (await leaked.get("/credentials")).status == 401
    assert await listed(world.acme) == [("acme", False), ("leaked", True), ("reader", False)]
    assert (await world.audit(f"leaked {row['key']}"))[0] == ("key acme", "credential.revoke", "in force", "revoked")


async def test_faults_of_others_are_not_shown_to_a_restricted_key(world: World) -> None:
    folder = world.relay.folder / "conf.d"
    folder.mkdir(exist_ok=True)
    fault = folder / "identity-theirs.toml"
    fault.write_text('[identities."x@beta.test"]\nprovider = "unknown"\n')
    try:
        refused = await put(world.acme, settings_of("mine@acme.test"), {"company": "Mine"})
        assert (refused.status, "tell an operator" in refused.json["detail"]) == (409, True), refused.json
        assert "beta" not in str(refused.json)
        assert "beta" in str((await put(world.all, settings_of("mine@acme.test"), {})).json)
    finally:
        fault.unlink()
