"""The console of people who log in: what another site, name or session cannot do."""

import asyncio
import gzip
import re
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import ClientSession

from relay.people.totp import code_of, secret_octets
from tests.servers.login_console import PASSWORD, LoginRelay, Person, person
from tests.servers.sink import Sink


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


async def test_the_form_of_a_failed_login_keeps_the_address_that_was_typed(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, Person(relay.acting_url) as sam:
        await sam.first_login("sam@acme.test")
        async with Person(relay.acting_url) as again:
            for given in ("Sam@Acme.test", "nobody+x@none.test"):
                page = await again.post("/login", {"email": given, "pw": "not the password"})
                assert (again.status, f'value="{given}"' in page) == (403, True), page


async def test_a_form_of_a_stranger_is_small(tmp_path: Path) -> None:
    """A login with an address of 16 MB was masked for a minute and a half, in which no mail was taken."""
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, Person(relay.acting_url) as person:
        await person.post("/login", {"email": "5" * 20_000, "pw": "x", "totp": ""})
        assert (person.status, "may have 8192 octets" in person.page) == (413, True)
        fields = {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
        fields |= {"Origin": relay.acting_url}
        body = gzip.compress(b"email=" + b"5" * 1_000_000)
        async with ClientSession(headers=fields) as client, client.post(f"{person.url}/login", data=body) as answer:
            assert answer.status == 413
        await person.post("/login", {"email": "5" * 5_000, "pw": "x", "totp": ""})
        assert person.status == 403
