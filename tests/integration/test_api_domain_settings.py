"""Settings of sending domains by a key: made, changed, and what it may not choose."""

import pytest

from tests.integration.own_settings import World, put, settings_of, world

__all__ = ["world"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_sending_domain_is_made_and_changed_by_its_key(world: World) -> None:
    path = "/domains/new.test/settings"
    assert (await world.acme.get(path)).status == 404
    tracking = {"base_url": "https://t.new.test", "clicks": False}
    made = await put(world.acme, path, {"tracking": tracking, "return_path": "bounce.new.test"})
    assert (made.status, made.json["created"]) == (200, True), made.json
    assert (await world.acme.get("/domains/new.test/records")).status == 200, "it is in force"
    shown = await world.acme.get(path)
    assert shown.json["settings"] == {"return_path": "bounce.new.test", "tracking": tracking}
    changed = await put(world.acme, path, {"exclusion": "domain"}, If_Match=shown.headers["ETag"])
    assert (changed.json["created"], changed.json["settings"]) == (False, {"exclusion": "domain"})
    assert [one[1] for one in await world.audit("new.test")] == ["domain.new", "domain.change"]


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({"return_path": "bounce.beta.test"}, 403, "not a name of your domains"),
        ({"reply_domain": "beta.test"}, 403, "not a name of your domains"),
        ({"cname_target": "relay.other.test"}, 403, "not a name of your domains"),
        ({"tracking": {"base_url": "https://t.beta.test"}}, 403, "not a name of your domains"),
        ({"exclusion": "global"}, 403, "Allowed: campaign, domain"),
        ({"provider": "spare"}, 403, "You cannot choose spare"),
        ({"campaign_fallback_providers": ["spare"]}, 403, "You cannot choose spare"),
        ({"fallback_providers": ["spare"]}, 403, "You cannot choose spare"),
        ({"dkim": {"selectors": ["a b"]}}, 422, "is not a domain name"),
        ({"tracking": {"pixel": "middle"}}, 422, "tracking.pixel"),
    ],
)
async def test_what_concerns_other_domains_is_refused(
    world: World, body: dict[str, object], status: int, problem: str
) -> None:
    refused = await put(world.acme, "/domains/new.test/settings", body)
    assert (refused.status, problem in refused.json["detail"]) == (status, True), refused.json


async def test_a_key_without_the_scope_reads_only(world: World) -> None:
    assert (await world.reader.get(settings_of("hand@acme.test"))).status == 200
    for method, path in (("PUT", settings_of("x@acme.test")), ("PUT", "/domains/acme.test/settings")):
        refused = await world.reader.request(method, path, {})
        assert (refused.status, '"manage"' in refused.json["detail"]) == (403, True)
