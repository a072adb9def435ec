"""The console of people who log in: who gets what, and what another site, name or session cannot do."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from unittest.mock import MagicMock

from relay.console.roles import Role
from relay.console.routes import acting_routes, routes
from relay.people.totp import code_of, secret_octets
from tests.servers.actions import Say
from tests.servers.login_console import CODE, PASSWORD, PEOPLE, LoginRelay, Person, people_toml, person
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
                    answer = await (one.get(path) if method == "GET" else one.post(path))
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


async def test_forms_of_other_sites_sessions_and_names_are_refused(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, Person(relay.acting_url) as other:
        await other.first_login("sam@acme.test")
        async with person(relay, "olga@acme.test") as olga:
            form = {"action": "suppressions.add", "address": "a@x.test", "domain": "", "reply": ""}
            evil = "https://evil.test"
            for fields, headers in (
                ({"csrf": ""}, {}),
                ({"csrf": "0" * 64}, {}),
                ({"csrf": other.csrf}, {}),
                ({}, {"Origin": evil}),
                ({}, {"Origin": "null"}),
                ({}, {"Origin": relay.acting_url.replace("127.0.0.1", "localhost")}),
                ({}, {"Sec-Fetch-Site": "cross-site"}),
                ({}, {"Sec-Fetch-Site": "same-site"}),
            ):
                await olga.post("/suppressions/actions", form | fields, headers)
                assert (olga.status, olga.path) == (403, "/suppressions/actions"), (fields, headers)
            for host in ("evil.test", f"evil.test:{relay.acting}", f"localhost:{relay.acting}", "127.0.0.1"):
                assert "not answered" in await olga.get("/", {"Host": host})
                assert olga.status == 421
                await olga.post("/suppressions/actions", form, {"Host": host, "Origin": f"http://{host}"})
                assert olga.status == 421
            await olga.post("/login", {"email": "olga@acme.test", "pw": PASSWORD}, {"Origin": evil})
            assert olga.status == 403
            await olga.post("/suppressions/actions", form)
            assert olga.path.startswith("/confirm/"), "the same form from its own page"
            async with Person(relay.acting_url) as stranger:
                stranger.token = olga.token
                stranger.csrf = ""
                await stranger.post(olga.path)
                assert stranger.status == 403
            await other.get(olga.path)
            assert (other.status, "nothing to confirm" in other.page) == (410, True), "a plan belongs to its session"
        assert await relay.json("suppression", "list") == []


async def test_a_session_id_that_somebody_else_chose_is_never_taken(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, Person(relay.acting_url) as jane:
        jane.token = chosen = "ab" * 32
        await jane.first_login("sam@acme.test")
        first = jane.token
        assert first not in ("", chosen)
        assert len(bytes.fromhex(first)) == 32
        async with Person(relay.acting_url) as again:
            await again.log_in("sam@acme.test")
            fields = again.headers
        assert again.token != first
        async with Person(relay.acting_url) as victim:
            victim.token = chosen
            await victim.get("/")
            assert victim.path.startswith("/login")
        await jane.post("/logout")
        jane.token = first
        await jane.get("/queue")
        assert jane.path == "/login?next=/queue"
        assert "__Host-relay" not in str(fields)


async def test_every_answer_has_the_headers_of_its_safety(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, person(relay, "otto@acme.test") as otto:
        for path in ("/", "/login", "/people", "/none", "/static/style.css", "/confirm/none", "/queue?state=none"):
            await otto.get(path)
            assert "frame-ancestors 'none'" in otto.headers["Content-Security-Policy"], path
            assert otto.headers["X-Frame-Options"] == "SAMEORIGIN"
            assert otto.headers["X-Content-Type-Options"] == "nosniff"
            assert otto.headers["Referrer-Policy"] == "same-origin"
            assert "Strict-Transport-Security" not in otto.headers, "it is reached without TLS"
            assert "no-store" in otto.headers["Cache-Control"] or path.startswith("/static")
        async with otto._client.post(
            "/login",
            data={"email": "otto@acme.test", "pw": PASSWORD},
            headers={"Origin": relay.acting_url},
            allow_redirects=False,
        ) as answer:
            cookie = answer.headers["Set-Cookie"]
        for part in ("__Host-relay=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict", "Max-Age=43200"):
            assert part in cookie, cookie
        assert "Domain" not in cookie


async def test_after_the_login_one_stays_on_this_console(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay:
        async with person(relay, "sam@acme.test"):
            pass
        for given, path in (
            ("/queue?state=held", "/queue?state=held"),
            ("https://evil.test/", "/"),
            ("//evil.test/", "/"),
            ("/\\evil.test/", "/"),
            ("javascript:alert(1)", "/"),
        ):
            async with Person(relay.acting_url) as sam:
                await sam.post(f"/login?next={given}", {"email": "sam@acme.test", "pw": PASSWORD})
                assert (sam.status, sam.path) == (200, path)


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


async def test_an_app_is_set_up_used_once_and_removed_by_an_owner(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink, console="require_totp = true") as relay:
        async with Person(relay.acting_url) as otto:
            await otto.first_login("otto@acme.test")
            assert otto.path == "/app", "the owner requires an app"
            await otto.get("/people")
            assert otto.path == "/app"
            found = re.search(r'name="secret" value="(\w+)"', otto.page)
            assert found
            secret = secret_octets(found[1])
            await otto.post("/app", {"secret": found[1], "code": "000000"})
            assert (otto.status, "does not fit" in otto.page) == (400, True)
            now = await asyncio.to_thread(__import__("time").time)
            await otto.post("/app", {"secret": found[1], "code": code_of(secret, int(now // 30))})
            assert (otto.status, otto.path) == (200, "/")
            used = code_of(secret, int(now // 30))
            async with Person(relay.acting_url) as again:
                assert "code of your app is needed" in await again.log_in("otto@acme.test")
                assert "used before" in await again.log_in("otto@acme.test", code=used)
            await otto.post("/people/actions", {"action": "people.app", "address": "otto@acme.test"})
            await otto.post(otto.path)
            assert "is removed" in otto.page
        (row,) = [one for one in await relay.json("person", "list") if one["address"] == "otto@acme.test"]
        assert (row["app"], row["sessions"]) == (False, 0)


async def test_failures_slow_down_and_are_said(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, AsyncExitStack() as stack:
        people = [await stack.enter_async_context(Person(relay.acting_url)) for _ in range(10)]
        wrong = {"email": "sam@acme.test", "pw": "not the password"}
        await asyncio.gather(*(one.post("/login", wrong) for one in people))
        assert 5 <= [one.status for one in people].count(403) <= 7
        late = next(one for one in people if one.status == 429)
        assert re.search("Too many failures. Try again in [0-9]+ seconds.", late.page)
        assert "is wrong" in next(one for one in people if one.status == 403).page
        assert len(relay.log("console.login_failed")) == 10
