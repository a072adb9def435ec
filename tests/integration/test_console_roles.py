"""What each role gets of the console: a table with an entry for every route."""

import re
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock

from relay.console.roles import Role
from relay.console.routes import acting_routes, routes
from tests.servers.actions import Say
from tests.servers.login_console import CODE, PEOPLE, LoginRelay, Person, people_toml, person
from tests.servers.sink import Sink

EVERYBODY, NEWCOMER, VIEWER, SUPPORT, OPERATOR, OWNER = None, *(role for role in Role if role)

MATRIX: dict[tuple[str, str], Role | None] = {
    ("GET", "/static/{name}"): EVERYBODY,
    ("GET", "/login"): EVERYBODY,
    ("POST", "/login"): EVERYBODY,
    ("POST", "/logout"): NEWCOMER,
    ("GET", "/password"): NEWCOMER,
    ("POST", "/password"): NEWCOMER,
    ("GET", "/app"): NEWCOMER,
    ("POST", "/app"): NEWCOMER,
    ("GET", "/"): VIEWER,
    ("GET", "/messages"): VIEWER,
    ("GET", "/messages.csv"): SUPPORT,
    ("GET", "/messages/{queue_id}"): VIEWER,
    ("GET", "/messages/{queue_id}/preview"): SUPPORT,
    ("GET", "/message/{queue_id}"): VIEWER,
    ("GET", "/queue"): VIEWER,
    ("GET", "/queue.csv"): SUPPORT,
    ("GET", "/bounces"): VIEWER,
    ("GET", "/bounces.csv"): SUPPORT,
    ("GET", "/domains"): VIEWER,
    ("GET", "/domains.csv"): SUPPORT,
    ("GET", "/domains/{domain}"): VIEWER,
    ("GET", "/domains/new"): OPERATOR,
    ("POST", "/domains/new"): OPERATOR,
    ("GET", "/domains/{domain}/edit"): OPERATOR,
    ("POST", "/domains/{domain}/edit"): OPERATOR,
    ("POST", "/domains/{domain}/actions"): OPERATOR,
    ("GET", "/identities"): VIEWER,
    ("GET", "/identities.csv"): SUPPORT,
    ("GET", "/identities/{address}"): VIEWER,
    ("GET", "/identities/new"): OPERATOR,
    ("POST", "/identities/new"): OPERATOR,
    ("GET", "/identities/{address}/edit"): OPERATOR,
    ("POST", "/identities/{address}/edit"): OPERATOR,
    ("POST", "/identities/{address}/actions"): OPERATOR,
    ("GET", "/providers"): VIEWER,
    ("GET", "/providers.csv"): SUPPORT,
    ("GET", "/providers/{name}"): VIEWER,
    ("GET", "/providers/new"): OPERATOR,
    ("POST", "/providers/new"): OPERATOR,
    ("GET", "/providers/{name}/edit"): OPERATOR,
    ("POST", "/providers/{name}/edit"): OPERATOR,
    ("POST", "/providers/actions"): OPERATOR,
    ("POST", "/providers/{name}/test"): OPERATOR,
    ("POST", "/providers/{name}/mail"): OPERATOR,
    ("GET", "/mailbox"): VIEWER,
    ("POST", "/mailbox/test"): OPERATOR,
    ("GET", "/mailbox/edit"): OPERATOR,
    ("POST", "/mailbox/edit"): OPERATOR,
    ("POST", "/mailbox/actions"): OWNER,
    ("GET", "/suppressions"): VIEWER,
    ("GET", "/suppressions.csv"): SUPPORT,
    ("GET", "/unsubscribes"): VIEWER,
    ("GET", "/unsubscribes.csv"): SUPPORT,
    ("GET", "/webhooks"): VIEWER,
    ("GET", "/webhooks.csv"): SUPPORT,
    ("GET", "/webhooks/{name}"): VIEWER,
    ("GET", "/webhooks/new"): OPERATOR,
    ("POST", "/webhooks/new"): OPERATOR,
    ("GET", "/webhooks/{name}/edit"): OPERATOR,
    ("POST", "/webhooks/{name}/edit"): OPERATOR,
    ("POST", "/webhooks/actions"): OPERATOR,
    ("POST", "/webhooks/{name}/test"): OPERATOR,
    ("GET", "/credentials"): VIEWER,
    ("GET", "/credentials.csv"): SUPPORT,
    ("GET", "/credentials/{name}"): VIEWER,
    ("GET", "/credentials/new"): OWNER,
    ("POST", "/credentials/new"): OWNER,
    ("GET", "/credentials/{name}/edit"): OWNER,
    ("POST", "/credentials/{name}/edit"): OWNER,
    ("POST", "/credentials/actions"): OWNER,
    ("GET", "/confirm/{plan}"): SUPPORT,
    ("POST", "/confirm/{plan}"): SUPPORT,
    ("POST", "/queue/actions"): OPERATOR,
    ("POST", "/messages/{queue_id}/actions"): SUPPORT,
    ("POST", "/suppressions/actions"): SUPPORT,
    ("POST", "/unsubscribes/actions"): SUPPORT,
    ("GET", "/audit"): OPERATOR,
    ("GET", "/people"): OWNER,
    ("POST", "/people/actions"): OWNER,
}
"""The least role of each route that gets more than a refusal."""

ADDRESS = re.compile(r"[\w.+-]+(?:@|%40)[\w-]+\.test")


def test_each_route_is_in_the_matrix() -> None:
    """A new route needs a line there, and with it a decision."""
    known = {(one.method, one.path): one for one in (*routes(MagicMock()), *acting_routes(MagicMock()))}
    assert known.keys() == MATRIX.keys()
    for key, one in known.items():
        least = one.role if one.masks or one.role is None else max(one.role, SUPPORT)
        assert least == MATRIX[key], key
        assert one.role is not EVERYBODY or key[1] in ("/login", "/static/{name}"), key


def paths() -> Iterator[tuple[str, str, Role | None]]:
    values = {"name": "style.css", "queue_id": "1M8PWY6BNNZFMM", "domain": "acme.test", "plan": "none"}
    for (method, path), least in MATRIX.items():
        yield method, path.replace("{address}", "news@acme.test").format(**values), least


async def test_every_role_gets_its_routes_and_no_others(tmp_path: Path) -> None:
    more = '[domains."acme.test"]\n[identities."news@acme.test"]\n'
    async with Sink() as sink, LoginRelay(tmp_path, sink, more) as relay:
        for address, name in [("", "nobody"), ("otto@acme.test", "newcomer"), *PEOPLE.items()]:
            role = Role[name.upper()]
            async with Person(relay.acting_url) as one:
                if role is NEWCOMER:
                    await one.log_in(address, CODE)
                elif role is not Role.NOBODY:
                    await one.first_login(address)
                # A logout and another login end the session: they come last.
                for method, path, least in sorted(paths(), key=lambda route: route[1] in ("/logout", "/login")):
                    # Failures of one address delay its next login: each role has its own.
                    typed = {"email": f"{name}@none.test"} if path == "/login" else {}
                    answer = await (one.get(path) if method == "GET" else one.post(path, typed))
                    got = (one.status, one.path.partition("?")[0])
                    if least is EVERYBODY or role >= least:
                        assert "Not for your role" not in answer, (name, method, path)
                        assert one.status in (200, 400, 403, 404, 410), (name, method, path, got)
                        assert got[1] == path or path.startswith("/message/") or least in (EVERYBODY, NEWCOMER), got
                    elif role is Role.NOBODY:
                        assert got[1] == "/login", (method, path, got)
                    elif role is NEWCOMER:
                        assert got[1] == "/password", (method, path, got)
                    else:
                        assert (one.status, "Not for your role" in answer) == (403, True), (name, method, path)


async def test_a_viewer_sees_no_address_on_any_page(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay:
        sink.once("RCPT", Say("550 5.1.1 <ada.lovelace@reader.test>: No such user"))
        queue_id = await relay.send("ada.lovelace@reader.test", "For ada.lovelace@reader.test", fields={"X-Y": "1"})
        await relay.run("suppression", "add", "carl@reader.test", "--note", "wrote from o'brien@reader.test")
        async with person(relay, "vera@acme.test") as vera, person(relay, "sam@acme.test") as sam:
            for path in (
                *("/", "/messages", f"/messages/{queue_id}", "/queue", "/bounces", "/suppressions", "/unsubscribes"),
                *("/messages?q=ada.lovelace@reader.test", "/suppressions?q=carl@reader.test", "/identities", "/none"),
            ):
                page = await vera.get(path)
                assert {one.lower() for one in ADDRESS.findall(page)} <= {"vera@acme.test"}, path
            assert "a••@r•••.test" in await vera.get(f"/messages/{queue_id}")
            assert "<iframe" not in vera.page
            assert "ada.lovelace@reader.test" in await sam.get(f"/messages/{queue_id}")


async def test_a_person_of_one_domain_sees_and_changes_nothing_else(tmp_path: Path) -> None:
    people = people_toml({"dora@acme.test": "operator"}, {"dora@acme.test": "other.test"})
    more = '[domains."other.test"]\n[domains."acme.test"]\n'
    async with Sink() as sink, LoginRelay(tmp_path, sink, more, people) as relay:
        queue_id = await relay.send("ada@reader.test", "Secret plans")
        for domain in ("acme.test", "other.test", ""):
            await relay.run(
                "suppression", "add", f"u-{domain or 'all'}@reader.test", *(("--domain", domain) if domain else ())
            )
        async with person(relay, "dora@acme.test") as dora:
            for path in ("/", "/messages", f"/messages/{queue_id}", f"/messages/{queue_id}/preview", "/queue",
                         "/bounces", "/providers", "/queue.csv", "/people"):  # fmt: skip
                assert "Secret plans" not in await dora.get(path)
            page = await dora.get("/suppressions")
            assert re.findall(r"u-[\w.]+@reader.test", page) == ["u-other.test@reader.test"] * page.count("u-other")
            for domain, status in (("acme.test", 400), ("", 400), ("x@acme.test", 400), ("other.test", 200)):
                form = {"action": "suppressions.add", "address": "new@reader.test", "domain": domain}
                await dora.post("/suppressions/actions", form)
                assert dora.status == status, domain
            for domain, status in (("acme.test", 403), ("", 403)):
                form = {
                    "action": "suppressions.remove",
                    "address": f"u-{domain or 'all'}@reader.test",
                    "domain": domain,
                }
                await dora.post("/suppressions/actions", form)
                assert dora.status == status, domain
            await dora.post(f"/messages/{queue_id}/actions", {"action": "message.delete"})
            assert "there is nothing that it could change" in dora.page
            assert "dora@acme.test" in await dora.get("/audit")
